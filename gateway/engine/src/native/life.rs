//! The phases of a connection, and the moment at which its session is told of the end. Pure: the connection's lock guards
//! it, and the session beside it.
//!
//! Guarantees: one caller at a time passes packets to the session, and none once the connection is ending; the session
//! is told of the end once, with the first reason, and not while it receives. Tested with loom.

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Packets are ignored; the rest of the queue is written.
    Closing,
    /// Everything is written; the reader goes on until the client has closed its side.
    Lingering,
    Ended,
}

/// See the module. `R` is the reason of an end. A returned session must be told of the end, outside of the lock.
pub(super) struct Life<R> {
    phase: Phase,
    /// The first reason that was given.
    reason: Option<R>,
    /// A packet is being passed to the session.
    receiving: bool,
    /// The session is to be told of the end: once it exists, and has received its last packet.
    is_due: bool,
}

impl<R> Default for Life<R> {
    fn default() -> Self {
        Self { phase: Phase::Open, reason: None, receiving: false, is_due: false }
    }
}

impl<R: Copy> Life<R> {
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The session was made. The connection may have ended meanwhile.
    pub(super) fn begin<S>(&mut self, place: &mut Option<S>, session: S) -> Option<(S, R)> {
        *place = Some(session);
        self.is_due.then(|| self.ending(place)).flatten()
    }

    /// Packets are about to be passed to the session. `None` if the connection is ending, or another thread passes some.
    pub(super) fn begin_receiving<S: Clone>(&mut self, session: &Option<S>) -> Option<S> {
        if self.phase != Phase::Open || self.receiving {
            return None;
        }
        let session = session.clone()?;
        self.receiving = true;
        Some(session)
    }

    /// The packets were passed on.
    pub(super) fn end_receiving<S>(&mut self, session: &mut Option<S>) -> Option<(S, R)> {
        self.receiving = false;
        self.is_due.then(|| self.ending(session)).flatten()
    }

    /// Begins the end of an open connection.
    pub(super) fn close(&mut self, reason: R) {
        self.phase = Phase::Closing;
        self.reason.get_or_insert(reason);
    }

    /// Everything is written.
    pub(super) fn linger<S>(&mut self, session: &mut Option<S>) -> Option<(S, R)> {
        self.phase = Phase::Lingering;
        self.ending(session)
    }

    pub(super) fn end<S>(&mut self, session: &mut Option<S>, reason: R) -> Option<(S, R)> {
        self.phase = Phase::Ended;
        self.reason.get_or_insert(reason);
        self.ending(session)
    }

    /// The session to tell, and the reason. `None` if it was told before, or must be told later.
    fn ending<S>(&mut self, session: &mut Option<S>) -> Option<(S, R)> {
        self.is_due = self.receiving || session.is_none();
        if self.receiving {
            return None;
        }
        Some((session.take()?, self.reason?))
    }
}
