//! HTTP/1.1 by hand, in two steps, so that a request can hang while the test goes on.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::in_time;

/// A request that was sent, on a connection of its own. Dropping it closes the connection.
pub struct Exchange(TcpStream);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Exchange {
    /// Sends a request; `headers` say whether it has a body.
    pub async fn begin(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
        Self(stream)
    }

    /// Sends more of the body.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).await.unwrap();
    }

    /// Like [`Exchange::send`], for a connection that the server may have ended.
    pub async fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Waits until the server has answered in whatever way, or has cut the connection.
    pub async fn ended(mut self) {
        let _ = in_time("the end of a request", self.0.read_to_end(&mut Vec::new())).await;
    }

    /// Waits for the answer.
    pub async fn answer(self) -> Answer {
        self.answer_unless_cut().await.expect("an answer")
    }

    /// The answer, or `None` if the server cuts the connection instead.
    pub async fn answer_unless_cut(mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let read = in_time("an answer", self.0.read_to_end(&mut bytes)).await;
        (read.is_ok() && !bytes.is_empty()).then(|| Answer::parse(&bytes))
    }
}

impl Answer {
    pub fn parse(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let (first, lines) = head.split_once("\r\n").unwrap_or((head, ""));
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap();
        let headers = lines.lines().map(|line| line.split_once(": ").unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let answer = Self { status, headers, body: body.to_owned() };
        if let Some(length) = answer.header("content-length") {
            assert_eq!(length, body.len().to_string(), "the whole body has arrived");
        }
        assert_eq!(answer.header("transfer-encoding"), None, "bodies have a length");
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| &**value)
    }

    /// The body of a successful answer.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    /// The error is one of Engine.IO, with this code.
    #[track_caller]
    pub fn is_error(&self, code: u64) {
        assert_eq!(self.status, 400, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["code"], code, "{self:?}");
        assert!(body["message"].is_string(), "{self:?}");
    }
}
