//! The way in, on either transport: Engine.IO packets, whose messages are decoded and passed to the session.
//!
//! Guarantees: packets are passed on in the order of their arrival, none after the end of the session; a client that
//! breaks the rules of WebSocket gets the reason in the close frame; the bytes of incomplete messages are limited for all
//! connections of a shard together.

use std::{
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use super::{
    input::Input,
    polling::payload::Packet,
    wire::{NORMAL, Wire},
};
use crate::{
    CloseReason, Frame, Inbound, Session,
    failure::Failure,
    websocket::{
        encode,
        incoming::{Incoming, Message, Violation},
    },
};

/// Bytes that are read and dropped while a connection is ending. More of them tear it down.
const MOST_DROPPED: u32 = 1024 * 1024;
/// Pongs that may wait for a client.
const PONGS: usize = 16;

/// The right to pass packets to the session, until it is dropped: one thread has it at a time.
pub(super) struct Receiving {
    wire: Arc<Wire>,
    session: Arc<dyn Session>,
    pub(super) input: Input,
}

/// The client broke a rule of Engine.IO, or sent its last packet.
enum Over {
    Violation,
    Closed,
}

impl Wire {
    /// Takes bytes that were read from the WebSocket. Breaks if nothing more need be read.
    pub(super) fn read(self: &Arc<Self>, bytes: &mut [u8]) -> ControlFlow<()> {
        let Some(mut receiving) = Receiving::begin(self) else {
            // The client may still be reading what was sent last.
            return if self.may_drop(bytes.len()) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        };
        if !self.allowance.may_read(bytes.len()) {
            tracing::debug!("closing a connection: the client sent too many bytes before it joined a namespace");
            self.close(CloseReason::ProtocolError, Some(Violation::TooLong.code()));
            return ControlFlow::Continue(());
        }
        let mut incoming = receiving.input.partial.take().map_or_else(Incoming::default, |partial| *partial);
        let read = incoming.read(bytes, self.shard.limits.max_message, &mut |message| receiving.message(&message));
        if let Err(violation) = read {
            self.close(CloseReason::ProtocolError, Some(violation.code()));
        }
        receiving.input.partial = (!incoming.is_empty()).then(|| Box::new(incoming));
        ControlFlow::Continue(())
    }

    /// Drops bytes that a client sends to a connection that is ending. False once it has ended, or they are too many.
    fn may_drop(&self, bytes: usize) -> bool {
        let dropped = self.dropped.fetch_add(bytes as u32, Ordering::Relaxed).saturating_add(bytes as u32);
        !self.has_ended() && dropped <= MOST_DROPPED
    }

    /// Takes the input's state out, to read on.
    pub(super) fn take_input(&self) -> Input {
        let input = std::mem::take(&mut *self.input.lock());
        self.shard.release_partial(input.held());
        input
    }

    /// Keeps the state for the next read, unless the session has ended.
    fn keep_input(&self, input: Input) {
        if self.is_deaf() {
            return;
        }
        if !self.shard.hold_partial(input.held()) {
            tracing::warn!("closing a connection: too many bytes of incomplete messages on this node");
            return self.abort(CloseReason::ProtocolError);
        }
        *self.input.lock() = input;
    }

    /// Takes the packets of a POST.
    pub(super) fn receive_payload<'a>(
        self: &Arc<Self>,
        packets: impl Iterator<Item = Option<Packet<'a>>>,
    ) -> Result<(), Failure> {
        // The connection is ending; the client learns that from its poll.
        let Some(mut receiving) = Receiving::begin(self) else { return Ok(()) };
        for packet in packets {
            let taken = match packet {
                Some(Packet::Text(text)) => receiving.packet(text),
                Some(Packet::Binary(part)) => receiving.part(&part),
                None => Err(Over::Violation),
            };
            match taken {
                Ok(()) if self.is_deaf() => break,
                Ok(()) => {}
                Err(Over::Violation) => return Err(Failure::BadRequest),
                Err(Over::Closed) => {
                    self.end(CloseReason::ClientClosed);
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Receiving {
    /// `None` if the connection is ending.
    pub(super) fn begin(wire: &Arc<Wire>) -> Option<Self> {
        let session = wire.begin_receiving()?;
        Some(Self { wire: Arc::clone(wire), session, input: wire.take_input() })
    }

    /// Takes a WebSocket message. Breaks if it was the last one.
    pub(super) fn message(&mut self, message: &Message<'_>) -> ControlFlow<()> {
        let wire = &self.wire;
        let taken = match message {
            Message::Text(text) => self.packet(text),
            Message::Binary(part) => self.part(part),
            Message::Ping(payload) => {
                let mut state = wire.state();
                // A client that sends pings and reads nothing gets no more answers.
                if state.queue.frames() < PONGS {
                    wire.push(&mut state, Frame::websocket_control(encode::PONG, payload));
                }
                Ok(())
            }
            Message::Pong => Ok(()),
            Message::Close(code) => {
                wire.close(CloseReason::ClientClosed, *code);
                Ok(())
            }
        };
        match taken {
            Ok(()) => {}
            Err(Over::Closed) => self.wire.close(CloseReason::ClientClosed, NORMAL),
            Err(Over::Violation) => self.wire.close(CloseReason::ProtocolError, NORMAL),
        }
        if self.wire.is_deaf() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Takes an Engine.IO packet: its type, then its data.
    fn packet(&mut self, packet: &str) -> Result<(), Over> {
        match packet.as_bytes() {
            [b'4', ..] => {
                self.wire.hear();
                let text = &packet[1..];
                let session = Arc::clone(&self.session);
                match self.input.decoder.text(text, self.wire.shard.decoding) {
                    Some(inbound) => {
                        if matches!(inbound, Inbound::Connect { .. }) {
                            self.wire.allowance.connect_seen();
                        }
                        session.receive(&inbound, text.len());
                    }
                    None => session.receive_part(text.len()),
                }
                Ok(())
            }
            b"3" => {
                self.wire.hear();
                Ok(())
            }
            [b'1', ..] => Err(Over::Closed),
            // Only servers send pings and NOOPs, and the rest belongs to the upgrade or is no packet at all.
            _ => Err(Over::Violation),
        }
    }

    /// Takes a binary part.
    fn part(&mut self, part: &[u8]) -> Result<(), Over> {
        self.wire.hear();
        Arc::clone(&self.session).receive_part(part.len());
        if let Some(inbound) = self.input.decoder.binary(part, self.wire.shard.decoding) {
            Arc::clone(&self.session).receive(&inbound.borrowed(), 0);
        }
        Ok(())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.wire.keep_input(std::mem::take(&mut self.input));
        self.wire.end_receiving();
    }
}
