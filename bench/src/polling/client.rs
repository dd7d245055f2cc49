//! One long-polling client: its two connections, and what waits to be sent.

use std::net::SocketAddrV4;

use anyhow::{Context, Result, ensure};

use crate::{
    dialect::{Packet, socketio},
    http::Answer,
    tcp::Tcp,
};

/// Between two packets of one body.
const SEPARATOR: u8 = 0x1e;

/// The connection that receives, by GET, or the one that sends, by POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// GET
    Receive,
    /// POST
    Send,
}

/// A connection, with at most one request under way.
pub struct Connection {
    /// The connection.
    pub tcp: Tcp,
    /// Bytes that arrived and are not handled.
    pub begun: Vec<u8>,
    requested: bool,
}

/// A client.
pub struct Client {
    target: SocketAddrV4,
    token: String,
    receiving: Connection,
    sending: Connection,
    /// The session's id, once the server has opened it.
    session: Option<String>,
    signed_in: bool,
    started: bool,
    queue: Vec<u8>,
    /// Its connection failed: it does nothing any more.
    pub failed: bool,
}

impl Client {
    /// Begins to connect.
    pub fn connect(target: SocketAddrV4, token: String) -> Result<Self> {
        let connection =
            || Ok::<_, anyhow::Error>(Connection { tcp: Tcp::connect(target)?, begun: Vec::new(), requested: false });
        Ok(Self {
            target,
            token,
            receiving: connection()?,
            sending: connection()?,
            session: None,
            signed_in: false,
            started: false,
            queue: Vec::new(),
            failed: false,
        })
    }

    /// One of its connections.
    pub fn connection(&self, way: Way) -> &Connection {
        match way {
            Way::Receive => &self.receiving,
            Way::Send => &self.sending,
        }
    }

    /// One of its connections.
    pub fn connection_mut(&mut self, way: Way) -> &mut Connection {
        match way {
            Way::Receive => &mut self.receiving,
            Way::Send => &mut self.sending,
        }
    }

    /// Whether it is signed in.
    pub fn is_ready(&self) -> bool {
        self.signed_in
    }

    /// The first request may be sent. Returns whether it was not before.
    pub fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.started, true)
    }

    /// Adds a packet to what waits to be sent, if `write` appends one.
    pub fn queue(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let before = self.queue.len();
        if before > 0 {
            self.queue.push(SEPARATOR);
        }
        if !write(&mut self.queue) {
            self.queue.truncate(before);
        }
    }

    /// Sends the requests that can be sent. Returns the connections that now wait for room to write.
    pub fn advance(&mut self) -> Result<Vec<Way>> {
        let mut blocked = Vec::new();
        let path = match &self.session {
            Some(session) => format!("/socket.io/?EIO=4&transport=polling&sid={session}"),
            None => "/socket.io/?EIO=4&transport=polling".to_owned(),
        };
        let host = self.target;
        if self.started && !self.receiving.requested {
            self.receiving.requested = true;
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            if self.receiving.tcp.send(request.as_bytes())? {
                blocked.push(Way::Receive);
            }
        }
        if self.session.is_some() && !self.sending.requested && !self.queue.is_empty() {
            self.sending.requested = true;
            let length = self.queue.len();
            let header = "Content-Type: text/plain;charset=UTF-8\r\nContent-Length:";
            let mut request = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n{header} {length}\r\n\r\n").into_bytes();
            request.append(&mut self.queue);
            if self.sending.tcp.send(&request)? {
                blocked.push(Way::Send);
            }
        }
        Ok(blocked)
    }

    /// Handles the answers that have arrived completely. `acknowledged` gets the id and the text of each one.
    pub fn received(&mut self, way: Way, mut acknowledged: impl FnMut(&mut Self, u64, &[u8])) -> Result<()> {
        let bytes = std::mem::take(&mut self.connection_mut(way).begun);
        let mut handled = 0;
        while let Some(answer) = Answer::parse(&bytes[handled..])? {
            let body = &bytes[handled + answer.body.start..handled + answer.body.end];
            handled += answer.body.end;
            ensure!(answer.status == 200, "status {}: {}", answer.status, String::from_utf8_lossy(body));
            self.connection_mut(way).requested = false;
            if way == Way::Receive {
                for packet in body.split(|byte| *byte == SEPARATOR) {
                    self.packet(packet, &mut acknowledged)?;
                }
            }
        }
        self.connection_mut(way).begun.extend_from_slice(&bytes[handled..]);
        Ok(())
    }

    fn packet(&mut self, text: &[u8], acknowledged: &mut impl FnMut(&mut Self, u64, &[u8])) -> Result<()> {
        match socketio::parse(text) {
            Packet::Open => {
                let opened: serde_json::Value = serde_json::from_slice(&text[1..]).context("the open packet")?;
                self.session = Some(opened["sid"].as_str().context("no session id")?.to_owned());
                let token = std::mem::take(&mut self.token);
                self.queue(|text| {
                    socketio::connect(text, &token);
                    true
                });
            }
            Packet::Connected => self.signed_in = true,
            Packet::Ping => self.queue(|text| {
                text.push(b'3');
                true
            }),
            Packet::Ack { id, body, .. } => acknowledged(self, id, body),
            Packet::Refused(text) => anyhow::bail!("refused: {}", String::from_utf8_lossy(text)),
            Packet::Message(_) | Packet::Other => {}
        }
        Ok(())
    }
}
