//! The interface of a [`Wire`] for its session.

use std::sync::Arc;

use super::wire::{NORMAL, Wire};
use crate::{CloseReason, Frame, Full};

/// See the module.
#[derive(Clone)]
pub struct NativeOutbox(Arc<Wire>);

impl NativeOutbox {
    pub(super) fn new(wire: &Arc<Wire>) -> Self {
        Self(Arc::clone(wire))
    }

    pub(crate) fn send(&self, frame: &Frame) -> Result<(), Full> {
        self.0.send(frame)
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.0.waiting()
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.0.is_flushed()
    }

    pub(crate) fn admitted(&self) {
        self.0.allowance.admitted();
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.0.allowance.is_admitted()
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        self.0.close(reason, NORMAL);
    }

    pub(crate) fn abort(&self, reason: CloseReason) {
        self.0.abort(reason);
    }

    pub(crate) fn stop_reading(&self) {
        self.0.stop_reading();
    }
}
