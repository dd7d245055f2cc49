//! engineioxide's events, handed to our connections.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Method, Request, Response, request::Parts},
};
use bytes::Bytes;
use engineioxide::{
    DisconnectReason, Socket,
    config::EngineIoConfig,
    handler::EngineIoHandler,
    service::{EngineIoService, NotFoundService},
};
use engineioxide_core::{Sid, Str, TransportType};
use http_body_util::BodyExt as _;
use jackfield_shared::{lifecycle::Lifecycle, trace};
use parking_lot::Mutex;
use tower::Service;

use super::{
    Inbound, Outbox,
    decoder::{Decoder, DecoderLimits},
    failure::{self, Failure},
    poll, post,
    request::{self, HandshakeToken},
    stragglers::Stragglers,
    upgrade,
    wire::{Wire, WireLimits},
};
use crate::{client::Connection, limits::Place, node::Node};

/// The path at which the library serves Engine.IO; requests are rewritten to it, whatever path clients use.
pub(super) const PATH: &str = "/socket.io";

/// Stands for no limit on frames; the limit on bytes still applies.
const ANY_NUMBER: usize = 1 << 20;

/// Speaks Engine.IO to clients. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    service: EngineIoService<Handler, NotFoundService>,
    handler: Arc<Handler>,
    lifecycle: Lifecycle,
}

/// Protocol limits for clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineLimits {
    /// Time between two pings.
    pub ping_interval: Duration,
    /// A connection that does not answer a ping within this time is closed.
    pub ping_timeout: Duration,
    /// Frames in a socket's queue; 0 for any number.
    pub queue: usize,
    /// Bytes in a socket's queue.
    pub queue_bytes: usize,
    /// How long bytes may wait in a socket's queue while many do; zero for any time.
    pub queue_age: Duration,
    /// Bytes of one message; a longer one closes the connection.
    pub max_message: usize,
    /// Bytes of one event; 0 for any number.
    pub payload: usize,
    /// Binary parts of one event.
    pub attachments: usize,
    /// Bytes of the longest configured namespace.
    pub longest_namespace: usize,
}

impl Engine {
    /// The engine of `node`.
    pub(crate) fn new(node: &Arc<Node>, limits: EngineLimits) -> Self {
        let config = EngineIoConfig::builder()
            .req_path(PATH)
            .ping_interval(limits.ping_interval)
            .ping_timeout(limits.ping_timeout)
            .max_buffer_size(if limits.queue == 0 { ANY_NUMBER } else { limits.queue })
            .max_payload(limits.max_message as u64)
            .ws_max_message_size(limits.max_message)
            .ws_max_frame_size(limits.max_message)
            // Most sockets are idle and send short messages; the buffer grows by itself for a larger one.
            .ws_read_buffer_size(256)
            .build();
        let wires = WireLimits { queue_bytes: limits.queue_bytes as u64, stragglers: Stragglers::default() };
        let wires = Arc::new(wires);
        let handler = Arc::new(Handler {
            node: Arc::downgrade(node),
            max_message: limits.max_message,
            decoding: DecoderLimits::new(limits.payload, limits.attachments, limits.longest_namespace),
            wires: Arc::clone(&wires),
            polling: Mutex::default(),
        });
        let stop = node.lifecycle.stopping();
        node.lifecycle.spawn(async move { wires.stragglers.watch(limits.queue_age, stop).await });
        let service = EngineIoService::with_config(Arc::clone(&handler), config);
        Self { service, handler, lifecycle: node.lifecycle.clone() }
    }

    /// Answers a request to the engine.
    pub(crate) async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let is_websocket = upgrade::is_asked(&parts);
        let session = self.handler.session(&parts);
        match (is_websocket, session) {
            (true, session) => {
                self.websocket(Request::from_parts(parts, body), &session).unwrap_or_else(Failure::response)
            }
            (false, Session::Polling(socket)) => self.poll(Request::from_parts(parts, body), &socket).await,
            // A handshake, or a request that the library refuses.
            (false, _) => self.library(request::polling(&parts).map(|()| Body::empty())).await,
        }
    }

    fn websocket(mut self, request: Request<Body>, session: &Session) -> Result<Response<Body>, Failure> {
        upgrade::check(request.headers())?;
        let wire = match session {
            Session::New => Wire::new(Arc::clone(&self.handler.wires), trace::is_on()),
            Session::Unknown => return Err(Failure::UnknownSession),
            Session::Polling(socket) if socket.transport_type() == TransportType::Websocket => {
                return Err(Failure::BadRequest);
            }
            Session::Polling(socket) => Arc::clone(socket.data.shared_wire().ok_or(Failure::UnknownSession)?),
        };
        let lifecycle = self.lifecycle.clone();
        Ok(upgrade::accept(request, &lifecycle, Arc::clone(&wire), move |stream, mut request| {
            request.extensions_mut().insert(wire);
            // The call returns at once; the connection runs in a task of the library's own.
            drop(Service::call(&mut self.service, (stream, request)));
        }))
    }

    /// Receives a polling client's POST, or answers its poll.
    async fn poll(self, request: Request<Body>, socket: &Socket<SocketData>) -> Response<Body> {
        let Some(wire) = socket.data.shared_wire() else { return Failure::UnknownSession.response() };
        if request.method() == Method::POST {
            let (parts, body) = request.into_parts();
            let own = request::polling(&parts);
            return match post::read(Request::from_parts(parts, body), socket, wire, self.handler.max_message).await {
                Ok(body) => self.library(own.map(|()| Body::from(body))).await,
                Err(failure) => failure.response(),
            };
        }
        let Some(claim) = wire.begin_answer() else {
            socket.close(DisconnectReason::MultipleHttpPollingError);
            return Failure::BadRequest.response();
        };
        let (parts, _) = request.into_parts();
        let response = self.library(request::polling(&parts).map(|()| Body::empty())).await;
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(payload) => Response::from_parts(parts, poll::answer(payload.to_bytes(), wire, claim)),
            Err(_) => Failure::BadRequest.response(),
        }
    }

    async fn library(mut self, request: Request<Body>) -> Response<Body> {
        let answered: Result<_, Infallible> = Service::call(&mut self.service, request).await;
        match answered {
            Ok(response) => failure::with_numbers(response.map(Body::new)).await,
            Err(never) => match never {},
        }
    }
}

/// See the module.
pub(crate) struct Handler {
    /// Weak, because the node outlives its engine and not the other way round.
    node: Weak<Node>,
    max_message: usize,
    decoding: DecoderLimits,
    wires: Arc<WireLimits>,
    /// Sockets that began with polling, by the id that their requests carry.
    polling: Mutex<HashMap<Sid, Arc<Socket<SocketData>>>>,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// The data attached to every socket of the engine.
#[derive(Default)]
pub(crate) struct SocketData {
    /// Taken at the end, because connection and socket hold each other.
    connection: Mutex<Option<Arc<Connection>>>,
    decoder: Decoder,
    wire: OnceLock<Arc<Wire>>,
}

impl SocketData {
    pub(super) fn wire(&self) -> Option<&Wire> {
        self.wire.get().map(|wire| &**wire)
    }

    fn shared_wire(&self) -> Option<&Arc<Wire>> {
        self.wire.get()
    }

    /// The client's queued bytes have waited too long.
    pub(super) fn too_slow(&self) {
        if let Some(connection) = self.connection() {
            connection.too_slow();
        }
    }

    fn receive_text(&self, text: Str, limits: DecoderLimits) {
        let bytes = text.len();
        let Some(connection) = self.connection() else { return };
        match self.decoder.text(text, limits) {
            Some(inbound) => {
                if let (Inbound::Connect { .. }, Some(wire)) = (&inbound, self.wire()) {
                    wire.connect_seen();
                }
                connection.receive(inbound, bytes);
            }
            None => connection.receive_part(bytes),
        }
    }

    fn receive_binary(&self, part: &Bytes, limits: DecoderLimits) {
        let Some(connection) = self.connection() else { return };
        connection.receive_part(part.len());
        if let Some(inbound) = self.decoder.binary(part, limits) {
            connection.receive(inbound, 0);
        }
    }

    /// Cloned out of the lock: handling may end the connection, which takes it.
    fn connection(&self) -> Option<Arc<Connection>> {
        self.connection.lock().clone()
    }
}

/// The session that a request is for.
enum Session {
    /// None yet: it is a handshake.
    New,
    /// A session that does not exist, or did not begin with polling.
    Unknown,
    /// One that began with polling.
    Polling(Arc<Socket<SocketData>>),
}

impl Handler {
    fn session(&self, request: &Parts) -> Session {
        if !request::has(request, "sid=") {
            return Session::New;
        }
        let id = request::socket_id(request);
        id.and_then(|id| self.polling.lock().get(&id).cloned()).map_or(Session::Unknown, Session::Polling)
    }
}

impl EngineIoHandler for Handler {
    type Data = SocketData;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<SocketData>>) {
        let Some(node) = self.node.upgrade() else { return };
        let extensions = &socket.req_parts.extensions;
        let given = extensions.get::<Arc<Wire>>().cloned();
        socket.data.wire.get_or_init(|| given.unwrap_or_else(|| Wire::new(Arc::clone(&self.wires), trace::is_on())));
        let token = extensions.get::<HandshakeToken>().map(|HandshakeToken(token)| token.clone());
        let place = extensions.get::<Arc<Place>>().cloned();
        let connection = Connection::open(&node, Outbox::new(Arc::clone(&socket)), token, place);
        *socket.data.connection.lock() = Some(connection);
        if socket.transport_type() == TransportType::Polling {
            self.polling.lock().insert(socket.id, socket);
        }
    }

    fn on_disconnect(&self, socket: Arc<Socket<SocketData>>, _: DisconnectReason) {
        self.polling.lock().remove(&socket.id);
        let connection = socket.data.connection.lock().take();
        if let Some(connection) = connection {
            connection.closed();
        }
    }

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<Socket<SocketData>>) {
        socket.data.receive_text(text, self.decoding);
    }

    fn on_binary(self: &Arc<Self>, bytes: Bytes, socket: Arc<Socket<SocketData>>) {
        socket.data.receive_binary(&bytes, self.decoding);
    }
}
