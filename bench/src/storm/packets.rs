//! The answers of a storm's clients to the packets that arrive.

use anyhow::{Result, ensure};

use super::{
    JOIN_AGAIN, JOIN_TIMEOUT, Storm, WITNESS_PAUSE,
    client::{Stage, Step},
};
use crate::{
    clock::now,
    crowd::{close_reason, upgrade},
    dialect::{Dialect, JOIN, Packet, socketio},
    http::Answer,
    poll::Ready,
    websocket::{self, Frame},
};

impl Storm {
    pub(super) fn handle(&mut self, event: Ready) -> Result<()> {
        let who = event.token;
        let target = self.target(who);
        let client = &mut self.clients[who];
        let Some(tcp) = &mut client.tcp else { return Ok(()) };
        if client.stage == Stage::Connecting {
            tcp.connected()?;
            self.poll.want_write(tcp, who, false)?;
            client.stage = Stage::Upgrading;
            tcp.send(upgrade(Dialect::Socketio.path(), target).as_bytes())?;
            return Ok(());
        }
        if event.writable && tcp.flush()? {
            self.poll.want_write(tcp, who, false)?;
        }
        if !event.readable {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read(&mut buffer, who);
        self.buffer = buffer;
        result
    }

    fn read(&mut self, buffer: &mut [u8], who: usize) -> Result<()> {
        let client = &mut self.clients[who];
        let Some(tcp) = &client.tcp else { return Ok(()) };
        let begun = std::mem::take(&mut client.begun);
        let Some(read) = tcp.read(&mut buffer[begun.len()..])? else {
            client.begun = begun;
            return Ok(());
        };
        buffer[..begun.len()].copy_from_slice(&begun);
        let bytes = &buffer[..begun.len() + read];
        let mut handled = 0;
        if client.stage == Stage::Upgrading {
            let Some(answer) = Answer::parse(bytes)? else {
                client.begun = bytes.to_vec();
                return Ok(());
            };
            if answer.status == 503 {
                self.returns.refused += 1;
            }
            ensure!(answer.status == 101, "the upgrade was answered with status {}", answer.status);
            handled = answer.body.end;
            client.stage = Stage::Opening;
        }
        while let Some(frame) = Frame::parse(bytes, handled)? {
            handled = frame.payload.end;
            let payload = &bytes[frame.payload];
            match frame.opcode {
                websocket::TEXT => self.packet(who, socketio::parse(payload))?,
                websocket::PING => self.send(who, websocket::PONG, payload)?,
                websocket::CLOSE => anyhow::bail!("closed by the server{}", close_reason(payload)),
                _ => {}
            }
            if self.clients[who].tcp.is_none() {
                return Ok(());
            }
        }
        self.clients[who].begun = bytes[handled..].to_vec();
        Ok(())
    }

    fn packet(&mut self, who: usize, packet: Packet<'_>) -> Result<()> {
        let now = now();
        match (self.clients[who].stage, packet) {
            (_, Packet::Ping) => self.send(who, websocket::TEXT, Dialect::Socketio.pong())?,
            (_, Packet::Refused(text)) => {
                // A DISCONNECT or a CONNECT_ERROR: the stock client does not come back from either.
                *self.failures.entry(String::from_utf8_lossy(text).into_owned()).or_default() += 1;
                self.returns.gone(who);
                self.clients[who].disconnected();
                self.clients[who].stage = Stage::Gone;
            }
            (Stage::Opening, Packet::Open) => {
                self.clients[who].opened();
                let mut text = Vec::new();
                socketio::connect(&mut text, &self.tokens[who]);
                self.send(who, websocket::TEXT, &text)?;
            }
            (Stage::SigningIn, Packet::Connected) if self.room_size > 0 => {
                self.clients[who].stage = Stage::Joining;
                self.join(who, now);
            }
            (Stage::SigningIn, Packet::Connected) => self.is_back(who, now),
            (Stage::Joining, Packet::Ack { id: JOIN, done, .. }) => match done {
                true => self.is_back(who, now),
                false => self.plan(who, now + JOIN_AGAIN, Step::Join),
            },
            (Stage::Ready, Packet::Ack { id, .. }) if id > 0 && self.echoes.answered(who, now) => {
                self.plan(who, now + WITNESS_PAUSE, Step::Echo);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn join(&mut self, who: usize, now: u64) {
        let mut text = Vec::new();
        socketio::join(&mut text, (self.first + who) / self.room_size.max(1));
        self.plan(who, now + JOIN_TIMEOUT, Step::Join);
        if let Err(error) = self.send(who, websocket::TEXT, &text) {
            self.lost(who, &error.to_string());
        }
    }

    fn is_back(&mut self, who: usize, now: u64) {
        self.under_way -= 1;
        self.clients[who].ready();
        self.returns.back_at(who, now);
        if self.has_echoes {
            self.plan(who, now, Step::Echo);
        }
    }

    pub(super) fn echo(&mut self, who: usize, now: u64) {
        let mut text = Vec::new();
        socketio::echo(&mut text, 1, |text| text.push(b'x'));
        self.echoes.sent(who, now);
        if let Err(error) = self.send(who, websocket::TEXT, &text) {
            self.lost(who, &error.to_string());
        }
    }

    fn send(&mut self, who: usize, opcode: u8, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::new();
        self.masker.append(&mut frame, opcode, payload);
        if let Some(tcp) = &mut self.clients[who].tcp
            && tcp.send(&frame)?
        {
            self.poll.want_write(tcp, who, true)?;
        }
        Ok(())
    }
}
