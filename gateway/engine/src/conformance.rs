//! A bare echo server on an engine, for the official test suites of Engine.IO 4 and Socket.IO 5.
//!
//! `/engine.io/` returns every message; `/socket.io/` has the namespaces `/` and `/custom`, sends `auth` after each
//! CONNECT, and answers `message` with `message-back` and `message-with-ack` with an acknowledgement. Intervals and
//! limits are those that the suites expect. Deliberately has no tokens and no limits by address: for tests only.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, request::Parts as RequestParts},
    response::Response,
    routing::any,
};
use jackfield_shared::{
    lifecycle::Lifecycle,
    serve::{First, Taker, serve},
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::{
    Accept, Alone, CloseReason, Engine, EngineKind, EngineLimits, Frame, Handshake, Inbound, Messages, Outbox, Parts,
    Session,
};

/// How long a client may take to its first CONNECT.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// The server.
#[derive(Clone)]
pub struct Conformance {
    engine_io: Engine<()>,
    socket_io: Engine<()>,
}

const ENGINE_IO: &str = "/engine.io/";
const SOCKET_IO: &str = "/socket.io/";

impl Conformance {
    /// The server on such an engine.
    #[must_use]
    pub fn new(kind: EngineKind, lifecycle: &Lifecycle) -> Self {
        let engine = |messages| {
            let accept = Arc::new(Host { messages, lifecycle: lifecycle.clone() });
            Engine::new(kind, accept, Arc::new(Alone), limits(messages), lifecycle.clone())
        };
        Self { engine_io: engine(Messages::Raw), socket_io: engine(Messages::Packets) }
    }

    /// Serves `listener` until the lifecycle ends.
    pub async fn serve(self, listener: TcpListener, lifecycle: Lifecycle) {
        let route = |engine: &Engine<()>| any(answer).with_state(engine.clone());
        let routes = Router::new().route(ENGINE_IO, route(&self.engine_io)).route(SOCKET_IO, route(&self.socket_io));
        serve(listener, routes, Some(Arc::new(self)), lifecycle).await;
    }
}

impl First for Conformance {
    fn takes(&self, request: &RequestParts, _: SocketAddr) -> Option<Taker> {
        let engine = match request.uri.path() {
            ENGINE_IO => &self.engine_io,
            SOCKET_IO => &self.socket_io,
            _ => return None,
        };
        engine.take(request, Handshake::parse(request), |_| Some(None))
    }
}

async fn answer(State(engine): State<Engine<()>>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let handshake = Handshake::parse(&parts);
    engine.answer(Request::from_parts(parts, body), handshake, None).await
}

fn limits(messages: Messages) -> EngineLimits {
    EngineLimits {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        queue: 0,
        queue_bytes: 10_000_000,
        queue_age: Duration::ZERO,
        max_message: 1_000_000,
        payload: 0,
        attachments: 100,
        longest_namespace: 0,
        messages,
    }
}

struct Host {
    messages: Messages,
    lifecycle: Lifecycle,
}

struct Echo {
    messages: Messages,
    outbox: Outbox,
    namespaces: Mutex<Vec<String>>,
}

impl Accept<()> for Host {
    fn open(&self, _: Handshake, _: Option<()>, outbox: Outbox) -> Arc<dyn Session> {
        outbox.admitted();
        let echo = Arc::new(Echo { messages: self.messages, outbox, namespaces: Mutex::default() });
        if self.messages == Messages::Packets {
            let waiting = Arc::downgrade(&echo);
            let stop = self.lifecycle.stopping();
            self.lifecycle.spawn(async move {
                stop.run_until_cancelled(tokio::time::sleep(CONNECT_WITHIN)).await;
                if let Some(echo) = waiting.upgrade().filter(|echo| echo.namespaces.lock().is_empty()) {
                    echo.outbox.close(CloseReason::Idle);
                }
            });
        }
        echo
    }
}

impl Session for Echo {
    fn receive(self: Arc<Self>, packet: &Inbound<&str>, _: usize) {
        match packet {
            Inbound::Event { content, parts, .. } if self.messages == Messages::Raw => {
                let part = parts.as_ref().and_then(|parts| parts.all().first());
                self.send(&part.map_or_else(|| Frame::raw_text(content), Frame::raw_binary));
            }
            Inbound::Connect { namespace, auth } => self.connect(namespace, auth.unwrap_or("{}")),
            Inbound::Disconnect { namespace } => self.namespaces.lock().retain(|joined| joined != namespace),
            Inbound::Event { namespace, content, ack, parts } if self.is_in(namespace) => {
                if !self.event(namespace, content, *ack, parts.as_ref()) {
                    self.outbox.close(CloseReason::Malformed);
                }
            }
            Inbound::Ack { .. } => {}
            Inbound::Event { .. } | Inbound::Refused { .. } | Inbound::Malformed => {
                self.outbox.close(CloseReason::Malformed);
            }
        }
    }

    fn receive_part(self: Arc<Self>, _: usize) {}

    fn closed(self: Arc<Self>, _: CloseReason) {}
}

impl Echo {
    fn send(&self, frame: &Frame) {
        if self.outbox.send(frame).is_err() {
            self.outbox.abort(CloseReason::TooSlow);
        }
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.namespaces.lock().iter().any(|joined| joined == namespace)
    }

    fn connect(&self, namespace: &str, auth: &str) {
        if !matches!(namespace, "/" | "/custom") {
            return self.send(&Frame::connect_error(namespace, "Invalid namespace"));
        }
        self.namespaces.lock().push(namespace.to_owned());
        self.send(&Frame::connect(namespace, "conformance", None));
        self.send(&Frame::event_json(namespace, "auth", auth));
    }

    /// False if the content is not an event.
    fn event(&self, namespace: &str, content: &str, ack: Option<i64>, parts: Option<&Parts>) -> bool {
        let Ok(content) = serde_json::from_str::<Vec<&RawValue>>(content) else { return false };
        let Some((name, arguments)) = content.split_first() else { return false };
        let arguments = arguments.iter().map(|argument| argument.get()).collect::<Vec<_>>().join(",");
        match (name.get(), ack) {
            ("\"message\"", _) => {
                self.send(&Frame::event_with(namespace, &format!("\"message-back\",{arguments}"), parts));
            }
            ("\"message-with-ack\"", Some(id)) => self.send(&Frame::ack_with(namespace, id, &arguments, parts)),
            _ => {}
        }
        true
    }
}
