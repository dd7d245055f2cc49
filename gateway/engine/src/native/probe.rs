//! The WebSocket that a connection with polling opens to switch to. See [`super::upgrade`].

use std::{io, ops::ControlFlow, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    reader::Reader,
    receive::Receiving,
    upgrade::{Action, PROBE_ANSWER, ProbeEvent},
    wire::{NORMAL, Wire, close_frame},
};
use crate::{
    Frame,
    websocket::incoming::{Incoming, Message},
};

/// How long a WebSocket may take from its handshake to the switch.
const SWITCH_WITHIN: Duration = Duration::from_secs(10);
/// Bytes that are read at once, and most of an incomplete message, until the switch.
const LONGEST: usize = 4 * 1024;

/// The right to switch a connection to a WebSocket; dropped without that, the connection goes on with polling.
pub(super) struct Probe(Arc<Wire>);

/// Ends a WebSocket that is no connection's transport.
pub(super) fn close(socket: &TcpStream) {
    // The client may have gone already.
    let _ = socket.try_write(close_frame(NORMAL).wire());
}

impl Probe {
    /// `None` if the connection cannot switch, or another WebSocket is about to.
    pub(super) fn begin(wire: &Arc<Wire>) -> Option<Self> {
        wire.state().polling.as_mut()?.upgrade.open().then(|| Self(Arc::clone(wire)))
    }

    /// Waits for the switch, and makes the WebSocket the connection's transport.
    pub(super) async fn run(self, mut socket: TcpStream, early: Vec<u8>) {
        let stop = self.0.shard.lifecycle.stopping();
        let probing = tokio::time::timeout(SWITCH_WITHIN, self.probe(&mut socket, early));
        if let Some(Ok(Ok(true))) = stop.run_until_cancelled(probing).await {
            let (read, write) = socket.into_split();
            if self.0.switch(write) {
                Reader::start(read, &self.0);
            }
        } else {
            close(&socket);
        }
    }

    /// Speaks with the client until it switches, or fails to.
    async fn probe(&self, socket: &mut TcpStream, mut bytes: Vec<u8>) -> io::Result<bool> {
        let wire = &self.0;
        let mut incoming = Incoming::default();
        loop {
            if !wire.allowance.may_read(bytes.len()) {
                return Ok(false);
            }
            let (mut answer, mut switched) = (false, None);
            let read = incoming.read(&mut bytes, wire.shard.limits.max_message, &mut |message| {
                if let Some(receiving) = &mut switched {
                    // The client's packets follow the switch directly.
                    return Receiving::message(receiving, &message);
                }
                match self.on(&message) {
                    None => {}
                    Some(Action::Answer) => answer = true,
                    Some(Action::Switch) => switched = Receiving::begin(wire),
                    Some(Action::Fail) => return ControlFlow::Break(()),
                }
                ControlFlow::Continue(())
            });
            if answer {
                socket.write_all(Frame::engine_packet(PROBE_ANSWER).wire()).await?;
            }
            if let Some(mut receiving) = switched {
                receiving.input.partial = (!incoming.is_empty()).then(|| Box::new(incoming));
                return Ok(true);
            }
            if !matches!(read, Ok(ControlFlow::Continue(()))) || incoming.held() > LONGEST {
                return Ok(false);
            }
            bytes.resize(LONGEST, 0);
            let count = socket.read(&mut bytes).await?;
            if count == 0 {
                return Ok(false);
            }
            bytes.truncate(count);
        }
    }

    fn on(&self, message: &Message<'_>) -> Option<Action> {
        let event = match message {
            Message::Text(text) => ProbeEvent::Text(text),
            Message::Ping(_) | Message::Pong => return None,
            Message::Binary(_) | Message::Close(_) => ProbeEvent::Failed,
        };
        let mut state = self.0.state();
        let polling = state.polling.as_mut()?;
        let action = polling.upgrade.on(event);
        polling.wake();
        Some(action)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Some(polling) = &mut self.0.state().polling {
            polling.upgrade.on(ProbeEvent::Failed);
        }
    }
}
