//! Serves an engine on a port of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Response, request::Parts},
};
use jackfield_engine::{Alone, Engine, EngineKind, EngineLimits, Handshake};
use jackfield_shared::{
    lifecycle::Lifecycle,
    serve::{First, Taker, serve},
};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{
    Answer, Call, Exchange, Gateway, Message, Polling, Recorder, WebSocket,
    gateway::{Fault, Permit, Reaction},
    handshake_headers, until,
};
use crate::differences::{Difference, differs};

/// One engine. Dropping it ends its connections, and checks the promises that concern every case.
pub struct Server {
    pub kind: EngineKind,
    pub address: SocketAddr,
    gateway: Arc<Gateway>,
    /// Permits that were not dropped yet.
    permits: Arc<AtomicUsize>,
    /// Requests that the engine has, but cannot answer yet.
    pending: Arc<AtomicUsize>,
    lifecycle: Lifecycle,
}

impl Server {
    pub async fn start(kind: EngineKind, limits: EngineLimits) -> Self {
        Self::reacting(kind, limits, |_, _| {}).await
    }

    /// Like [`Server::start`]; every session does `reaction` when it has recorded a packet.
    pub async fn reacting(kind: EngineKind, limits: EngineLimits, reaction: Reaction) -> Self {
        let lifecycle = Lifecycle::new();
        let gateway = Arc::new(Gateway::new(reaction));
        let engine = Engine::new(kind, Arc::clone(&gateway) as _, Arc::new(Alone), limits, lifecycle.clone());
        let (permits, pending) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (given, count) = (Arc::clone(&permits), Arc::clone(&pending));
        let first = Arc::new(Handshakes { engine: engine.clone(), permits: Arc::clone(&permits) });
        let answer = move |request: Request| {
            let (parts, body) = request.into_parts();
            let handshake = Handshake::parse(&parts);
            // As admission does it: only handshakes take a permit.
            let permit = handshake.sid.is_none().then(|| Permit::new(&given));
            counted(Arc::clone(&count), engine.clone().answer(Request::from_parts(parts, body), handshake, permit))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        lifecycle.spawn(serve(listener, Router::new().fallback(answer), Some(first), lifecycle.clone()));
        Self { kind, address, gateway, permits, pending, lifecycle }
    }

    /// Whether this engine differs in this way from Engine.IO's own server.
    pub fn differs(&self, difference: Difference) -> bool {
        differs(self.kind, difference)
    }

    /// Whether these are the last messages of a WebSocket that this side closes in order.
    pub fn is_goodbye(&self, messages: &[Message]) -> bool {
        let close = match messages {
            [Message::Text(packet), close] if self.differs(Difference::ClosePacketOnWebSocket) && packet == "1" => {
                close
            }
            [close] => close,
            _ => return false,
        };
        matches!(close, Message::Close(None | Some(1000)))
    }

    /// The connection that opened next.
    pub async fn session(&self) -> Arc<Recorder> {
        until("a connection opens", || self.gateway.opened.lock().pop_front()).await
    }

    /// Connections that opened and were not taken by [`Server::session`].
    pub fn opened(&self) -> usize {
        self.gateway.opened.lock().len()
    }

    /// Waits until every permit was given back.
    pub async fn permits_are_back(&self) {
        until("permits are dropped", || (self.permits.load(Ordering::Acquire) == 0).then_some(())).await;
    }

    /// Waits until the engine has so many requests that it cannot answer yet.
    pub async fn pending(&self, count: usize) {
        let is_reached = || (self.pending.load(Ordering::Acquire) == count).then_some(());
        until(&format!("{count} requests are pending"), is_reached).await;
    }

    /// The answer to a request without a session, such as `EIO=4&transport=polling`.
    pub async fn request(&self, method: &str, query: &str) -> Answer {
        let target = format!("/socket.io/?{query}");
        Exchange::begin(self.address, method, &target, &[("Content-Length", "0")], b"").await.answer().await
    }

    /// A WebSocket that sent `early` with its handshake and has read nothing.
    pub async fn silent_websocket(&self, early: &[u8]) -> WebSocket {
        let target = "/socket.io/?EIO=4&transport=websocket";
        let (answer, client) = WebSocket::handshake(self.address, target, &handshake_headers(), early).await;
        client.unwrap_or_else(|| panic!("{answer:?}"))
    }

    /// A WebSocket whose heartbeat has begun.
    pub async fn websocket(&self) -> WebSocket {
        let mut client = self.silent_websocket(b"").await;
        assert!(client.packet().await.starts_with("0{"));
        if self.differs(Difference::PingsAtOnce) {
            assert_eq!(client.packet().await, "2");
            client.text("3").await;
        }
        client
    }

    /// A WebSocket and its session.
    pub async fn connected(&self) -> (WebSocket, Arc<Recorder>) {
        let client = self.websocket().await;
        (client, self.session().await)
    }

    /// A polling client whose heartbeat has begun.
    pub async fn polling(&self) -> Polling<'_> {
        let open = self.request("GET", "EIO=4&transport=polling").await.ok();
        let open: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        let client = Polling::new(self, open["sid"].as_str().unwrap().to_owned());
        if self.differs(Difference::PingsAtOnce) {
            assert_eq!(client.poll().await.ok(), "2");
            client.send("3").await;
        }
        client
    }

    /// A polling client and its session.
    pub async fn connected_polling(&self) -> (Polling<'_>, Arc<Recorder>) {
        let client = self.polling().await;
        (client, self.session().await)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.lifecycle.stop();
        if !std::thread::panicking() {
            let is_known =
                |(_, call): &Fault| self.differs(Difference::EndOvertakesAPacket) && !matches!(call, Call::Closed(_));
            assert_eq!(self.gateway.faults.lock().iter().find(|fault| !is_known(fault)), None);
        }
    }
}

/// Takes WebSockets over at their first request, as the gateway does.
struct Handshakes {
    engine: Engine<Permit>,
    permits: Arc<AtomicUsize>,
}

impl First for Handshakes {
    fn takes(&self, request: &Parts, _: SocketAddr) -> Option<Taker> {
        let admit = |_: &Handshake| Some(Some(Permit::new(&self.permits)));
        self.engine.take(request, Handshake::parse(request), admit)
    }
}

/// Counts the request while its answer must wait.
async fn counted(pending: Arc<AtomicUsize>, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::AcqRel);
        }
    }
    let mut count = None;
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| {
        let answered = answer.as_mut().poll(cx);
        if answered.is_pending() && count.is_none() {
            pending.fetch_add(1, Ordering::AcqRel);
            count = Some(Count(Arc::clone(&pending)));
        }
        answered
    })
    .await
}
