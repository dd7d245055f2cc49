//! A polling client.

use super::{Answer, Exchange, FIN, Message, Server, TEXT, WebSocket, frame, handshake_headers, in_time};

/// One client.
pub struct Polling<'a> {
    server: &'a Server,
    pub sid: String,
}

impl<'a> Polling<'a> {
    pub fn new(server: &'a Server, sid: String) -> Self {
        Self { server, sid }
    }

    fn target(&self, transport: &str) -> String {
        format!("/socket.io/?EIO=4&transport={transport}&sid={}", self.sid)
    }

    /// Sends a poll, without waiting for its answer.
    pub async fn begin_poll(&self) -> Exchange {
        Exchange::begin(self.server.address, "GET", &self.target("polling"), &[], b"").await
    }

    /// Sends a poll that the engine cannot answer yet, and waits until the engine has it.
    pub async fn hanging_poll(&self) -> Exchange {
        let poll = self.begin_poll().await;
        self.server.pending(1).await;
        poll
    }

    /// The answer to a poll.
    pub async fn poll(&self) -> Answer {
        self.begin_poll().await.answer().await
    }

    /// Sends a POST with these headers, and this much of its body.
    pub async fn begin_post(&self, headers: &[(&str, &str)], body: &[u8]) -> Exchange {
        Exchange::begin(self.server.address, "POST", &self.target("polling"), headers, body).await
    }

    /// Sends the head and the beginning of a POST, and waits until the engine reads its body.
    pub async fn hanging_post(&self) -> Exchange {
        let post = self.begin_post(&[("Content-Length", "12")], b"42").await;
        self.server.pending(1).await;
        post
    }

    /// The answer to a POST.
    pub async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        let length = body.as_ref().len().to_string();
        let headers = [("Content-Length", &*length), ("Content-Type", "text/plain;charset=UTF-8")];
        self.begin_post(&headers, body.as_ref()).await.answer().await
    }

    /// Sends packets, which must be accepted.
    pub async fn send(&self, payload: &str) {
        assert_eq!(self.post(payload).await.ok(), "ok");
    }

    /// Sends a request whose URL was made unique with this `t`.
    pub async fn stamped(&self, method: &str, stamp: &str, body: &str) -> Answer {
        let target = format!("{}&t={stamp}", self.target("polling"));
        let length = body.len().to_string();
        let headers = [("Content-Length", &*length)];
        Exchange::begin(self.server.address, method, &target, &headers, body.as_bytes()).await.answer().await
    }

    /// Sends a request with any method.
    pub async fn request(&self, method: &str) -> Answer {
        let headers = [("Content-Length", "0")];
        Exchange::begin(self.server.address, method, &self.target("polling"), &headers, b"").await.answer().await
    }

    /// Begins an upgrade: the answer to its handshake, and the WebSocket if the answer was 101.
    pub async fn upgrade(&self) -> (Answer, Option<WebSocket>) {
        self.upgrade_with(b"").await
    }

    /// Like [`Polling::upgrade`], with `early` directly behind the handshake.
    pub async fn upgrade_with(&self, early: &[u8]) -> (Answer, Option<WebSocket>) {
        WebSocket::handshake(self.server.address, &self.target("websocket"), &handshake_headers(), early).await
    }

    /// Another upgrade is refused: its handshake, as some servers do, or the WebSocket, as Engine.IO's own server does.
    pub async fn upgrade_is_refused(&self) {
        let (answer, websocket) = self.upgrade().await;
        match websocket {
            None => assert_eq!(answer.status, 400),
            Some(mut websocket) => {
                // It may be closed already.
                let _ = websocket.try_send(&frame(FIN | TEXT, "2probe")).await;
                let rest = websocket.rest().await;
                assert!(matches!(rest[..], [] | [Message::Close(_)]), "{rest:?}");
            }
        }
    }

    /// A WebSocket on which the probe was answered.
    pub async fn probe(&self) -> WebSocket {
        let mut websocket = self.upgrade().await.1.unwrap();
        websocket.text("2probe").await;
        assert_eq!(websocket.packet().await, "3probe");
        websocket
    }

    /// The connection has ended: its id is unknown.
    pub async fn is_over(&self) {
        in_time("the id is unknown", async {
            // An abort may also cut a request of the same moment.
            while self.begin_poll().await.answer_unless_cut().await.map(|answer| answer.is_error(1)).is_none() {}
        })
        .await;
        self.post("3").await.is_error(1);
    }
}
