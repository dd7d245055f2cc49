//! One connection: its queue, its session, its transport. The only owner of the socket's writing half. [`write`] writes
//! the queue, [`end`] ends the connection.
//!
//! Guarantees: frames leave in the order in which they were sent; the session is told of the end exactly once, with the
//! first reason, and not while it receives; a closed WebSocket writes its queue, then a close frame, and is torn down if
//! that takes too long; a frame that finds no room was not queued. An idle connection has no buffer, no timer, and no
//! task but its reader's.

mod end;
mod write;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use parking_lot::{Mutex, MutexGuard};
use tokio::net::tcp::OwnedWriteHalf;

pub(super) use self::end::{NORMAL, close_frame};
pub(super) use super::life::Phase;
use super::{input::Input, life::Life, polling::Polling, queue::Queue, shard::Shard, turn::Turn};
use crate::{
    CloseReason, Frame, Full, Session,
    allowance::Allowance,
    stragglers::{BEHIND, Watched},
};

/// See the module.
pub(super) struct Wire {
    pub(super) shard: Arc<Shard>,
    pub(super) allowance: Allowance,
    /// The slice of time in which the client sent its last whole packet.
    heard: AtomicU32,
    /// Bytes that were read and dropped while the connection was ending.
    pub(super) dropped: AtomicU32,
    /// Packets are ignored: the connection is ending.
    deaf: AtomicBool,
    /// The transport was torn down: nothing more is written.
    aborted: AtomicBool,
    /// Nothing more is read.
    reading_stopped: AtomicBool,
    /// Set once the transport is a WebSocket.
    socket: OnceLock<OwnedWriteHalf>,
    pub(super) input: Mutex<Input>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) queue: Queue,
    /// Taken out at the end, because session and connection refer to each other.
    session: Option<Arc<dyn Session>>,
    /// `None` for a WebSocket.
    pub(super) polling: Option<Box<Polling>>,
    /// Bytes written since the connection's start.
    written: u64,
    life: Life<CloseReason>,
    turn: Turn,
    /// Listed in [`crate::stragglers`].
    watched: bool,
}

/// A session that is to be told of the end.
type Ending = (Arc<dyn Session>, CloseReason);

fn tell(ending: Option<Ending>) {
    if let Some((session, reason)) = ending {
        session.closed(reason);
    }
}

impl State {
    /// Bytes that were queued and not written yet.
    pub(super) fn waiting(&self) -> usize {
        self.queue.bytes() + self.polling.as_ref().map_or(0, |polling| polling.answering)
    }

    /// These bytes of the answer to a poll were passed on, or are lost.
    pub(super) fn answered(&mut self, bytes: u64) {
        self.written += bytes;
        if let Some(polling) = &mut self.polling {
            polling.answering = polling.answering.saturating_sub(bytes as usize);
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.life.phase()
    }
}

impl Wire {
    /// A connection over a WebSocket.
    pub(super) fn websocket(shard: &Arc<Shard>, socket: OwnedWriteHalf) -> Arc<Self> {
        Self::new(shard, socket.into(), None)
    }

    /// A connection with polling.
    pub(super) fn polling(shard: &Arc<Shard>, polling: Polling) -> Arc<Self> {
        Self::new(shard, OnceLock::new(), Some(Box::new(polling)))
    }

    fn new(shard: &Arc<Shard>, socket: OnceLock<OwnedWriteHalf>, polling: Option<Box<Polling>>) -> Arc<Self> {
        let wire = Arc::new(Self {
            shard: Arc::clone(shard),
            allowance: Allowance::default(),
            heard: AtomicU32::new(shard.slice()),
            dropped: AtomicU32::new(0),
            deaf: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            reading_stopped: AtomicBool::new(false),
            socket,
            input: Mutex::default(),
            state: Mutex::new(State { polling, ..State::default() }),
        });
        shard.add(&wire);
        wire
    }

    /// Passes the connection's session to it.
    pub(super) fn begin(&self, session: Arc<dyn Session>) {
        let ending = {
            let state = &mut *self.state();
            state.life.begin(&mut state.session, session)
        };
        tell(ending);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Queues a frame. Drops it without an error if the connection is ending.
    pub(super) fn send(self: &Arc<Self>, frame: &Frame) -> Result<(), Full> {
        let limits = &self.shard.limits;
        let mut state = self.state();
        if state.phase() != Phase::Open {
            return Ok(());
        }
        let waiting = state.waiting();
        if (limits.queue > 0 && state.queue.frames() >= limits.queue)
            || (waiting > 0 && waiting.saturating_add(frame.bytes()) > limits.queue_bytes)
        {
            return Err(Full);
        }
        self.push(&mut state, frame.clone());
        if state.waiting() as u64 > BEHIND && !std::mem::replace(&mut state.watched, true) {
            self.shard.stragglers.behind(self, state.written + state.waiting() as u64);
        }
        Ok(())
    }

    /// Queues a frame in any case, for packets of the transport, whose number is limited otherwise.
    pub(super) fn push(self: &Arc<Self>, state: &mut State, frame: Frame) {
        state.queue.push(frame);
        self.shard.sent();
        self.wake(state);
    }

    /// Lets the queue be written.
    fn wake(self: &Arc<Self>, state: &mut State) {
        match &mut state.polling {
            Some(polling) => polling.wake(),
            None if state.turn.queued() => self.shard.unsent.list(self),
            None => {}
        }
    }

    /// Pings the client.
    pub(super) fn ping(self: &Arc<Self>) {
        let mut state = self.state();
        if state.phase() == Phase::Open {
            self.push(&mut state, self.shard.ping.clone());
        }
    }

    /// The client sent a whole packet.
    pub(super) fn hear(&self) {
        self.heard.store(self.shard.slice(), Ordering::Relaxed);
    }

    /// The slice of time in which the client sent its last whole packet.
    pub(super) fn heard(&self) -> u32 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Bytes that were queued and not written yet.
    pub(super) fn waiting(&self) -> u64 {
        self.state().waiting() as u64
    }

    /// Whether closing would drop no queued frame.
    pub(super) fn is_flushed(&self) -> bool {
        let state = self.state();
        state.polling.is_none() || state.waiting() == 0
    }

    pub(super) fn is_polling(&self) -> bool {
        self.state().polling.is_some()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state().phase() == Phase::Ended
    }

    /// Whether packets are ignored, because the connection is ending.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Acquire)
    }

    /// Whether the transport was torn down before its queue was written.
    pub(super) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    pub(super) fn stop_reading(&self) {
        self.reading_stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_reading_stopped(&self) -> bool {
        self.reading_stopped.load(Ordering::Acquire)
    }

    /// Packets are about to be passed to the session. `None` if the connection is ending, or another thread passes some.
    pub(super) fn begin_receiving(&self) -> Option<Arc<dyn Session>> {
        let state = &mut *self.state();
        state.life.begin_receiving(&state.session)
    }

    /// The packets were passed on.
    pub(super) fn end_receiving(&self) {
        let ending = {
            let state = &mut *self.state();
            state.life.end_receiving(&mut state.session)
        };
        tell(ending);
    }

    /// The WebSocket becomes the transport of a connection with polling. False if the connection has ended.
    pub(super) fn switch(self: &Arc<Self>, socket: OwnedWriteHalf) -> bool {
        let mut polling = {
            let mut state = self.state();
            let Some(polling) = state.polling.take() else { return false };
            // Unset before, because only one WebSocket can switch.
            let _ = self.socket.set(socket);
            if state.phase() == Phase::Closing {
                state.queue.push(close_frame(NORMAL));
            }
            self.wake(&mut state);
            polling
        };
        self.shard.polling.remove(&polling.sid);
        polling.wake();
        true
    }
}

impl Watched for Wire {
    fn is_ended(&self) -> bool {
        self.has_ended()
    }

    fn totals(&self) -> (u64, u64) {
        let state = self.state();
        (state.written + state.waiting() as u64, state.written)
    }

    fn caught_up(&self) {
        self.state().watched = false;
    }

    fn too_slow(&self) {
        self.abort(CloseReason::TooSlow);
    }

    fn tear_down(&self) {
        self.abort(CloseReason::TooSlow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Wire>() <= 240, "{} bytes", size_of::<Wire>());
    }
}
