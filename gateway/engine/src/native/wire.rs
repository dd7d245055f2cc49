//! One connection: its queue, its session, its transport and their end. The only owner of the socket's writing half.
//!
//! Guarantees: frames leave in the order in which they were sent; the session is told of the end exactly once, with the
//! first reason, and not while it receives; a closed WebSocket writes its queue, then a close frame, and is torn down if that takes too long; a
//! frame that finds no room was not queued. An idle connection has no buffer, no timer, and no task but its reader's.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use socket2::SockRef;
use tokio::net::tcp::OwnedWriteHalf;

use super::{input::Input, polling::Polling, queue::Queue, shard::Shard};
use crate::{
    CloseReason, Frame, Full, Session,
    allowance::Allowance,
    stragglers::{BEHIND, Watched},
    websocket::encode,
};

/// Frames of one write at most.
const SLICES: usize = 64;
/// The close frame's code of an orderly end.
pub(super) const NORMAL: Option<u16> = Some(1000);

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
    phase: Phase,
    /// Why the connection ends; the first reason that was given.
    reason: Option<CloseReason>,
    /// A packet is being passed to the session.
    receiving: bool,
    /// The session is to be told of the end: once it exists, and has received its last packet.
    is_due: bool,
    /// Listed in [`Shard::unsent`].
    listed: bool,
    /// A task waits until the socket accepts more bytes.
    stalled: bool,
    /// Listed in [`crate::stragglers`].
    watched: bool,
}

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
        self.phase
    }

    /// The session to tell of the end, and the reason. `None` if it was told before, or must be told later.
    fn ending(&mut self) -> Option<Ending> {
        self.is_due = self.receiving || self.session.is_none();
        if self.receiving {
            return None;
        }
        Some((self.session.take()?, self.reason?))
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
            let mut state = self.state();
            state.session = Some(session);
            // The connection ended while its session was made.
            state.is_due.then(|| state.ending()).flatten()
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
        if state.phase != Phase::Open {
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
            None if state.listed || state.stalled => {}
            None => {
                state.listed = true;
                self.shard.unsent(self);
            }
        }
    }

    /// Writes what the socket accepts; a task writes the rest later.
    pub(super) fn flush(self: &Arc<Self>) {
        if self.write() {
            self.shard.lifecycle.spawn(Arc::clone(self).write_rest());
        }
    }

    /// Writes the rest of the queue as fast as the client reads it. Ends with the transport, whose end wakes it.
    async fn write_rest(self: Arc<Self>) {
        let Some(socket) = self.socket.get() else { return };
        loop {
            // If it fails, so does the write.
            let _ = socket.writable().await;
            if !self.write() {
                return;
            }
        }
    }

    /// Writes what the socket accepts. Returns whether there is more.
    fn write(&self) -> bool {
        let mut state = self.state();
        state.listed = false;
        let Ok(is_done) = self.write_queue(&mut state) else {
            drop(state);
            self.abort(CloseReason::TransportError);
            return false;
        };
        state.stalled = !is_done;
        let mut ending = None;
        if is_done && state.phase == Phase::Closing {
            state.phase = Phase::Lingering;
            self.shut(Shutdown::Write);
            ending = state.ending();
        }
        drop(state);
        tell(ending);
        !is_done
    }

    /// Writes until the queue is empty, true, or the socket accepts nothing more.
    fn write_queue(&self, state: &mut State) -> io::Result<bool> {
        let Some(socket) = self.socket.get() else { return Ok(true) };
        while !state.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = state.queue.slices(&mut slices);
            match socket.try_write_vectored(&slices[..count]) {
                Ok(written) => state.written += state.queue.wrote(written) as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn shut(&self, how: Shutdown) {
        if let Some(socket) = self.socket.get() {
            // It fails only if the connection has ended.
            let _ = SockRef::from(socket.as_ref()).shutdown(how);
        }
    }

    /// Pings the client.
    pub(super) fn ping(self: &Arc<Self>) {
        let mut state = self.state();
        if state.phase == Phase::Open {
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
        self.state().phase == Phase::Ended
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
        let mut state = self.state();
        if state.phase != Phase::Open || state.receiving {
            return None;
        }
        let session = state.session.clone()?;
        state.receiving = true;
        Some(session)
    }

    /// The packets were passed on.
    pub(super) fn end_receiving(&self) {
        let ending = {
            let mut state = self.state();
            state.receiving = false;
            state.is_due.then(|| state.ending()).flatten()
        };
        tell(ending);
    }

    /// Ignores what the client sends from now on, and ends once the queue and a close frame are written.
    pub(super) fn close(self: &Arc<Self>, reason: CloseReason, code: Option<u16>) {
        {
            let mut state = self.state();
            if state.phase != Phase::Open {
                return;
            }
            let has_nothing_to_fetch = state.queue.is_empty();
            match &mut state.polling {
                Some(polling) if has_nothing_to_fetch && !polling.is_polled() => {
                    drop(state);
                    return self.end(reason);
                }
                Some(_) => {}
                None => state.queue.push(close_frame(code)),
            }
            self.deafen(&mut state, Phase::Closing, reason);
            self.wake(&mut state);
        }
        self.shard.stragglers.closing(self);
    }

    /// Closes the connection because the client is silent: at once, if it does not even poll.
    pub(super) fn time_out(self: &Arc<Self>) {
        let is_absent = self.state().polling.as_ref().is_some_and(|polling| !polling.is_polled());
        match is_absent {
            true => self.end(CloseReason::PingTimeout),
            false => self.close(CloseReason::PingTimeout, NORMAL),
        }
    }

    /// Ends at once, and drops the queue.
    pub(super) fn abort(&self, reason: CloseReason) {
        self.aborted.store(true, Ordering::Release);
        self.end(reason);
    }

    /// Ends at once. A poll that hangs is answered with a NOOP.
    pub(super) fn end(&self, reason: CloseReason) {
        let (ending, polling) = {
            let mut state = self.state();
            let before = state.phase;
            if before == Phase::Ended {
                return;
            }
            self.deafen(&mut state, Phase::Ended, reason);
            state.queue.clear();
            let ending = if before == Phase::Lingering { None } else { state.ending() };
            (ending, state.polling.take())
        };
        self.shut(Shutdown::Both);
        drop(self.take_input());
        if let Some(mut polling) = polling {
            self.shard.polling.remove(&polling.sid);
            polling.wake();
        }
        tell(ending);
    }

    fn deafen(&self, state: &mut State, phase: Phase, reason: CloseReason) {
        state.phase = phase;
        state.reason.get_or_insert(reason);
        self.deaf.store(true, Ordering::Release);
    }

    /// The WebSocket becomes the transport of a connection with polling. False if the connection has ended.
    pub(super) fn switch(self: &Arc<Self>, socket: OwnedWriteHalf) -> bool {
        let mut polling = {
            let mut state = self.state();
            let Some(polling) = state.polling.take() else { return false };
            // Unset before, because only one WebSocket can switch.
            let _ = self.socket.set(socket);
            if state.phase == Phase::Closing {
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

/// The last frame of a WebSocket.
pub(super) fn close_frame(code: Option<u16>) -> Frame {
    let code = code.map(u16::to_be_bytes);
    Frame::websocket_control(encode::CLOSE, code.as_ref().map_or(&[], |code| code))
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
