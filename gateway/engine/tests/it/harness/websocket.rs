//! A WebSocket client that sends any bytes.

use std::{future::Future, net::SocketAddr};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    Answer,
    frames::{self, FIN, Message, TEXT},
    in_time,
};

/// The headers of a valid handshake.
pub fn handshake_headers() -> Vec<(&'static str, &'static str)> {
    vec![
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
}

/// One client.
pub struct WebSocket {
    stream: TcpStream,
    read: BytesMut,
}

impl WebSocket {
    /// Connects and sends a handshake, with `early` directly behind it. Returns the answer, and the client if the
    /// answer was 101.
    pub async fn handshake(
        address: SocketAddr,
        target: &str,
        headers: &[(&str, &str)],
        early: &[u8],
    ) -> (Answer, Option<Self>) {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self { stream, read: BytesMut::new() };
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        let head = format!("GET {target} HTTP/1.1\r\nHost: here\r\n{lines}\r\n");
        client.send(&[head.as_bytes(), early].concat()).await;
        let answer = client.read_answer().await;
        let upgraded = answer.status == 101;
        (answer, upgraded.then_some(client))
    }

    async fn read_answer(&mut self) -> Answer {
        loop {
            let end = self.read.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            if let Some(end) = end {
                let head = self.read.split_to(end);
                if head.starts_with(b"HTTP/1.1 101") {
                    return Answer::parse(&head);
                }
                // The length of the body is in the head; connections of refused handshakes may stay open.
                let text = String::from_utf8(head.to_vec()).unwrap().to_ascii_lowercase();
                let length = text.split_once("content-length: ").map_or("0", |(_, rest)| rest.lines().next().unwrap());
                while self.read.len() < length.parse().unwrap() {
                    assert!(self.fill().await, "the connection ended within an answer");
                }
                return Answer::parse(&[&head[..], &self.read[..]].concat());
            }
            assert!(self.fill().await, "the connection ended without an answer");
        }
    }

    /// Reads more; false at the end of the connection.
    async fn fill(&mut self) -> bool {
        matches!(in_time("bytes of the server", self.stream.read_buf(&mut self.read)).await, Ok(count) if count > 0)
    }

    /// Sends these bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    /// Like [`WebSocket::send`], for a connection that the server may have ended.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        in_time("bytes are accepted", self.stream.write_all(bytes)).await
    }

    /// Sends a text message.
    pub async fn text(&mut self, text: &str) {
        self.send(&frames::frame(FIN | TEXT, text)).await;
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        loop {
            if let Some(message) = frames::take(&mut self.read) {
                return message;
            }
            if !self.fill().await {
                return Message::End;
            }
        }
    }

    /// The next message, which must be text.
    #[track_caller]
    pub fn packet(&mut self) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next().await {
                Message::Text(text) => text,
                other => panic!("{other:?} at {caller}"),
            }
        }
    }

    /// Reads to the end of the connection: the messages before it.
    pub async fn rest(&mut self) -> Vec<Message> {
        let mut rest = Vec::new();
        loop {
            match self.next().await {
                Message::End => return rest,
                message => rest.push(message),
            }
        }
    }
}
