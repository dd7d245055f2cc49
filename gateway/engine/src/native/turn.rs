//! The connections with frames that nobody writes yet, and the wake of the task that will.
//!
//! Guarantees: after a frame was queued, its connection is listed and the flusher wakes, or the task that waits for the
//! socket writes the frame; a connection is listed once until it is written. Tested with loom.

use std::sync::Arc;

use super::sync::{Mutex, Notify};

/// Whether somebody is about to write a connection's queue. The connection's lock guards it.
#[derive(Default)]
pub(super) struct Turn {
    /// Listed in [`Unsent`].
    listed: bool,
    /// A task waits until the socket accepts more bytes.
    stalled: bool,
}

impl Turn {
    /// A frame was queued. True if the connection must be listed now.
    pub(super) fn queued(&mut self) -> bool {
        !self.stalled && !std::mem::replace(&mut self.listed, true)
    }

    /// The queue was written, or as much of it as the socket accepts: then a task must write the rest.
    pub(super) fn written(&mut self, is_done: bool) {
        *self = Self { listed: false, stalled: !is_done };
    }
}

/// The list, and the wake.
pub(super) struct Unsent<W> {
    list: Mutex<Vec<Arc<W>>>,
    /// Notified when the first connection is listed.
    begun: Notify,
}

impl<W> Unsent<W> {
    pub(super) fn new() -> Self {
        Self { list: Mutex::new(Vec::new()), begun: Notify::new() }
    }

    /// Lists a connection, as [`Turn::queued`] says.
    pub(super) fn list(&self, wire: &Arc<W>) {
        let mut list = self.list.lock();
        list.push(Arc::clone(wire));
        if list.len() == 1 {
            self.begun.notify_one();
        }
    }

    /// Waits until a connection is listed. May return without one.
    pub(super) async fn begun(&self) {
        self.begun.notified().await;
    }

    /// Moves the list into the empty `batch`.
    pub(super) fn take(&self, batch: &mut Vec<Arc<W>>) {
        std::mem::swap(batch, &mut *self.list.lock());
    }
}
