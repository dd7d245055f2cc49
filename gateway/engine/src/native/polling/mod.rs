//! The state of a connection with polling. [`poll`] answers GET, [`post`] receives POST, [`payload`] is their encoding.

pub(super) mod payload;
pub(super) mod poll;
pub(super) mod post;

use std::task::Waker;

use tokio_util::sync::CancellationToken;

use super::upgrade::Upgrade;

/// A request of a connection with polling.
#[derive(Clone, Copy)]
enum Kind {
    Poll,
    Post,
}

/// See the module.
pub(in crate::native) struct Polling {
    pub(in crate::native) sid: Box<str>,
    pub(in crate::native) upgrade: Upgrade,
    /// Bytes of the answer that is being written.
    pub(in crate::native) answering: usize,
    /// A poll is being answered, or hangs.
    polled: bool,
    /// The poll that hangs is to end.
    released: bool,
    /// A POST is being read.
    posted: bool,
    /// The [`crate::stamp`] of the last poll, and of the last POST.
    stamps: [Option<Box<str>>; 2],
    /// Wakes the poll that hangs.
    waker: Option<Waker>,
    /// Cancelled once the connection ends or switches.
    over: CancellationToken,
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Polling {
    pub(in crate::native) fn new(sid: Box<str>) -> Self {
        Self {
            sid,
            upgrade: Upgrade::None,
            answering: 0,
            polled: false,
            released: false,
            posted: false,
            stamps: [None, None],
            waker: None,
            over: CancellationToken::new(),
        }
    }

    /// Whether a poll hangs, or is being answered.
    pub(in crate::native) fn is_polled(&self) -> bool {
        self.polled
    }

    /// Whether this poll, or POST, repeats the one before.
    fn is_repeated(&mut self, kind: Kind, stamp: Option<Box<str>>) -> bool {
        let last = &mut self.stamps[kind as usize];
        let is_repeated = stamp.is_some() && *last == stamp;
        *last = stamp;
        is_repeated
    }

    /// Lets the poll that hangs end, even with nothing to answer.
    pub(in crate::native) fn release(&mut self) {
        self.released = self.polled;
        self.wake();
    }

    /// Lets the poll that hangs look again for something to answer.
    pub(in crate::native) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
