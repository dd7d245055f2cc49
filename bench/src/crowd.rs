//! Many WebSocket clients on one thread.
//!
//! [`Crowd::gather`] connects them, signs them in and lets them join their rooms, a bounded number at a time. After that,
//! [`Crowd::turn`] passes everything that arrives to the workload, which sends with [`Crowd::text`]. Pings are answered
//! here. A client whose connection fails is not connected again: it is counted, with the reason.

mod client;
mod gather;

use std::{collections::BTreeMap, io, net::SocketAddrV4};

use anyhow::Result;

use crate::{
    clock::now,
    dialect::{Dialect, Packet},
    http::Answer,
    layout::Layout,
    poll::{Poll, Ready},
    websocket::{self, Frame, Masker},
};

use client::{Client, Stage};
pub use client::{close_reason, upgrade};
pub use gather::Gathered;

/// Bytes that are read at once. All clients share the buffer.
const BUFFER: usize = 256 * 1024;

/// The clients' reactions to packets.
pub trait Workload {
    /// A packet for a client that is ready. `now` is when it was read.
    fn received(&mut self, crowd: &mut Crowd, who: usize, packet: Packet<'_>, now: u64);
}

/// Ignores everything.
pub struct Silent;

impl Workload for Silent {
    fn received(&mut self, _: &mut Crowd, _: usize, _: Packet<'_>, _: u64) {}
}

/// The clients and their connections.
pub struct Crowd {
    dialect: Dialect,
    targets: Vec<SocketAddrV4>,
    tokens: Vec<String>,
    layout: Layout,
    poll: Poll,
    ready: Vec<Ready>,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    frame: Vec<u8>,
    text: Vec<u8>,
    masker: Masker,
    progress: gather::Progress,
    /// Connections that failed, by reason.
    pub failures: BTreeMap<String, u64>,
}

impl Crowd {
    /// One client for each token. Clients go to the targets in turn.
    pub fn new(dialect: Dialect, targets: &[SocketAddrV4], tokens: Vec<String>, layout: Layout) -> Result<Self> {
        Ok(Self {
            dialect,
            targets: targets.to_vec(),
            clients: Vec::with_capacity(tokens.len()),
            tokens,
            layout,
            poll: Poll::new()?,
            ready: Vec::new(),
            buffer: vec![0; BUFFER],
            frame: Vec::new(),
            text: Vec::new(),
            masker: Masker::default(),
            progress: gather::Progress::default(),
            failures: BTreeMap::new(),
        })
    }

    /// The room of a client, as in the layout.
    pub fn room(&self, who: usize) -> Option<usize> {
        self.layout.room(who)
    }

    /// The protocol that the clients speak.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Sends a text frame. `write` appends the text.
    pub fn text(&mut self, who: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        write(&mut text);
        self.send_frame(who, websocket::TEXT, &text);
        self.text = text;
    }

    /// Waits for packets until `until` at most, and passes those that are there to the workload.
    pub fn turn(&mut self, workload: &mut impl Workload, until: u64) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poll.wait(until, &mut ready)?;
        for event in ready.drain(..) {
            let result = self.handle(event, workload);
            if let Err(error) = result {
                self.close(event.token, &error.to_string());
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn handle(&mut self, event: Ready, workload: &mut impl Workload) -> Result<()> {
        let who = event.token;
        let Some(client) = self.clients.get_mut(who) else { return Ok(()) };
        let Some(tcp) = &mut client.tcp else { return Ok(()) };
        if client.stage == Stage::Connecting {
            tcp.connected()?;
            self.poll.want_write(tcp, who, false)?;
            client.stage = Stage::Upgrading;
            let target = self.targets[who % self.targets.len()];
            return Ok(self.send(who, upgrade(self.dialect.path(), target).as_bytes())?);
        }
        if event.writable && tcp.flush()? {
            self.poll.want_write(tcp, who, false)?;
        }
        if event.readable { self.read(who, workload) } else { Ok(()) }
    }

    /// Reads once and handles all complete frames; keeps the rest.
    fn read(&mut self, who: usize, workload: &mut impl Workload) -> Result<()> {
        // Taken, because the workload gets slices of it and may send.
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = self.read_into(&mut buffer, who, workload);
        self.buffer = buffer;
        result
    }

    fn read_into(&mut self, buffer: &mut Vec<u8>, who: usize, workload: &mut impl Workload) -> Result<()> {
        let client = &mut self.clients[who];
        let Some(tcp) = &client.tcp else { return Ok(()) };
        let begun = client.begun.len();
        if buffer.len() < begun + BUFFER / 2 {
            buffer.resize(begun + BUFFER, 0);
        }
        let Some(read) = tcp.read(&mut buffer[begun..])? else { return Ok(()) };
        buffer[..begun].copy_from_slice(&client.begun);
        client.begun.clear();
        let now = now();
        let bytes = &buffer[..begun + read];
        let handled = self.frames(bytes, who, workload, now)?;
        let client = &mut self.clients[who];
        if handled < bytes.len() {
            client.begun.extend_from_slice(&bytes[handled..]);
        } else if client.begun.capacity() > 0 {
            client.begun = Vec::new();
        }
        Ok(())
    }

    /// Handles complete frames; returns where they end.
    fn frames(&mut self, bytes: &[u8], who: usize, workload: &mut impl Workload, now: u64) -> Result<usize> {
        let mut handled = 0;
        if self.clients[who].stage == Stage::Upgrading {
            let Some(answer) = Answer::parse(bytes)? else { return Ok(0) };
            anyhow::ensure!(answer.status == 101, "the upgrade was answered with status {}", answer.status);
            handled = answer.body.end;
            self.upgraded(who);
        }
        while let Some(frame) = Frame::parse(bytes, handled)? {
            handled = frame.payload.end;
            let payload = &bytes[frame.payload];
            match frame.opcode {
                websocket::TEXT => {
                    for packet in self.dialect.packets(payload) {
                        self.packet(who, packet, workload, now)?;
                    }
                }
                websocket::PING => self.send_frame(who, websocket::PONG, payload),
                websocket::CLOSE => anyhow::bail!("closed by the server{}", close_reason(payload)),
                _ => {}
            }
        }
        Ok(handled)
    }

    fn packet(&mut self, who: usize, packet: Packet<'_>, workload: &mut impl Workload, now: u64) -> Result<()> {
        match packet {
            Packet::Ping => self.send_frame(who, websocket::TEXT, self.dialect.pong()),
            Packet::Refused(text) => anyhow::bail!("refused: {}", String::from_utf8_lossy(text)),
            packet if self.clients[who].stage == Stage::Ready => workload.received(self, who, packet, now),
            packet => self.step(who, packet, now)?,
        }
        Ok(())
    }

    fn send_frame(&mut self, who: usize, opcode: u8, payload: &[u8]) {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        self.masker.append(&mut frame, opcode, payload);
        if let Err(error) = self.send(who, &frame) {
            self.close(who, &error.to_string());
        }
        self.frame = frame;
    }

    fn send(&mut self, who: usize, bytes: &[u8]) -> io::Result<()> {
        if let Some(tcp) = self.clients.get_mut(who).and_then(|client| client.tcp.as_mut())
            && tcp.send(bytes)?
        {
            self.poll.want_write(tcp, who, true)?;
        }
        Ok(())
    }

    fn close(&mut self, who: usize, reason: &str) {
        let Some(client) = self.clients.get_mut(who).filter(|client| client.stage != Stage::Closed) else { return };
        self.progress.closed(client.stage);
        *self.failures.entry(format!("{:?}: {reason}", client.stage)).or_default() += 1;
        client.stage = Stage::Closed;
        client.tcp = None;
    }
}
