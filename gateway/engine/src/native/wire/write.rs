//! Writes a connection's queue to its WebSocket.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    sync::Arc,
};

use super::{Phase, State, Wire, tell};
use crate::CloseReason;

/// Frames of one write at most.
const SLICES: usize = 64;

impl Wire {
    /// Writes what the socket accepts; a task writes the rest later.
    pub(in crate::native) fn flush(self: &Arc<Self>) {
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
        let Ok(is_done) = self.write_queue(&mut state) else {
            drop(state);
            self.abort(CloseReason::TransportError);
            return false;
        };
        state.turn.written(is_done);
        let mut ending = None;
        if is_done && state.phase() == Phase::Closing {
            self.shut(Shutdown::Write);
            let state = &mut *state;
            ending = state.life.linger(&mut state.session);
        }
        drop(state);
        tell(ending);
        !is_done
    }

    /// Writes until the queue is empty, true, or the socket accepts nothing more.
    fn write_queue(&self, state: &mut State) -> io::Result<bool> {
        let Some(socket) = self.socket.get() else { return Ok(true) };
        while !state.queue.is_empty() {
            let result = match state.queue.only() {
                // The kernel's work for one buffer is less than for a list of them.
                Some(frame) => socket.try_write(frame),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = state.queue.slices(&mut slices);
                    socket.try_write_vectored(&slices[..count])
                }
            };
            match result {
                Ok(written) => state.written += state.queue.wrote(written) as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
