//! The end of a connection: closed, once its queue is written, or at once.

use std::{
    net::Shutdown,
    sync::{Arc, atomic::Ordering},
};

use socket2::SockRef;

use super::{Phase, Wire, tell};
use crate::{CloseReason, Frame, websocket::encode};

/// The close frame's code of an orderly end.
pub(in crate::native) const NORMAL: Option<u16> = Some(1000);

/// The last frame of a WebSocket.
pub(in crate::native) fn close_frame(code: Option<u16>) -> Frame {
    let code = code.map(u16::to_be_bytes);
    Frame::websocket_control(encode::CLOSE, code.as_ref().map_or(&[], |code| code))
}

impl Wire {
    /// Ignores what the client sends from now on, and ends once the queue and a close frame are written.
    pub(in crate::native) fn close(self: &Arc<Self>, reason: CloseReason, code: Option<u16>) {
        {
            let mut state = self.state();
            if state.phase() != Phase::Open {
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
            state.life.close(reason);
            self.deafen();
            self.wake(&mut state);
        }
        self.shard.stragglers.closing(self);
    }

    /// Closes the connection because the client is silent: at once, if it does not even poll.
    pub(in crate::native) fn time_out(self: &Arc<Self>) {
        let is_absent = self.state().polling.as_ref().is_some_and(|polling| !polling.is_polled());
        match is_absent {
            true => self.end(CloseReason::PingTimeout),
            false => self.close(CloseReason::PingTimeout, NORMAL),
        }
    }

    /// Ends at once, and drops the queue.
    pub(in crate::native) fn abort(&self, reason: CloseReason) {
        self.aborted.store(true, Ordering::Release);
        self.end(reason);
    }

    /// Ends at once. A poll that hangs is answered with a NOOP.
    pub(in crate::native) fn end(&self, reason: CloseReason) {
        let (ending, polling) = {
            let state = &mut *self.state();
            if state.phase() == Phase::Ended {
                return;
            }
            let ending = state.life.end(&mut state.session, reason);
            self.deafen();
            state.queue.clear();
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

    fn deafen(&self) {
        self.deaf.store(true, Ordering::Release);
    }

    pub(super) fn shut(&self, how: Shutdown) {
        if let Some(socket) = self.socket.get() {
            // It fails only if the connection has ended.
            let _ = SockRef::from(socket.as_ref()).shutdown(how);
        }
    }
}
