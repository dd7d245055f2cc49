//! engineioxide's events, handed to our connections.

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, Response, request::Parts},
};
use bytes::Bytes;
use engineioxide::{
    DisconnectReason, Socket,
    config::EngineIoConfig,
    handler::EngineIoHandler,
    service::{EngineIoService, NotFoundService},
};
use engineioxide_core::Str;
use jackfield_shared::{lifecycle::Lifecycle, trace};
use parking_lot::Mutex;
use tower::Service;

use super::{
    Inbound, Outbox,
    packet::Decoder,
    request::{self, HandshakeToken},
    upgrade,
    writes::{Writes, WritesById},
};
use crate::{client::Connection, node::Node};

/// Below which path Engine.IO is spoken.
pub(super) const PATH: &str = "/socket.io";

/// Speaks Engine.IO to clients. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Engine {
    service: EngineIoService<Handler, NotFoundService>,
    writes: WritesById,
    lifecycle: Lifecycle,
}

/// What the protocol allows a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EngineLimits {
    /// Between two pings.
    pub ping_interval: Duration,
    /// Without an answer to a ping for this long, the connection is over.
    pub ping_timeout: Duration,
    /// Frames in a socket's queue.
    pub queue: usize,
    /// Bytes of one message; beyond that the connection is over.
    pub max_message: usize,
}

impl Engine {
    /// The engine of `node`.
    pub(crate) fn new(node: &Arc<Node>, limits: EngineLimits) -> Self {
        let config = EngineIoConfig::builder()
            .req_path(PATH)
            .ping_interval(limits.ping_interval)
            .ping_timeout(limits.ping_timeout)
            .max_buffer_size(limits.queue)
            .max_payload(limits.max_message as u64)
            .ws_max_message_size(limits.max_message)
            .ws_max_frame_size(limits.max_message)
            // Idle sockets are many, and most of what they send is short: a larger message grows the buffer by itself.
            .ws_read_buffer_size(256)
            .build();
        let writes = WritesById::default();
        let handler = Handler { node: Arc::downgrade(node), max_message: limits.max_message, writes: writes.clone() };
        let service = EngineIoService::with_config(Arc::new(handler), config);
        Self { service, writes, lifecycle: node.lifecycle.clone() }
    }

    /// Answers a request below [`PATH`].
    pub(crate) async fn answer(mut self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if upgrade::is_websocket(&parts) {
            let writes = self.writes_of(&parts);
            let lifecycle = self.lifecycle.clone();
            let request = Request::from_parts(parts, body);
            return upgrade::accept(request, &lifecycle, writes.clone(), move |stream, mut request| {
                if let Some(writes) = writes {
                    request.extensions_mut().insert(writes);
                }
                // Answered at once; the connection goes on in a task of the library's own.
                drop(Service::call(&mut self.service, (stream, request)));
            });
        }
        let request = request::polling(Request::from_parts(parts, body));
        let answered: Result<_, Infallible> = Service::call(&mut self.service, request).await;
        match answered {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }

    /// Of the socket that gets the WebSocket which is asked for: a new one's, or the one's that is named.
    fn writes_of(&self, parts: &Parts) -> Option<Arc<Writes>> {
        if !trace::is_on() {
            return None;
        }
        request::socket_id(parts).map_or_else(|| Some(Arc::default()), |id| self.writes.find(id))
    }
}

/// See the module.
pub(crate) struct Handler {
    /// Weak, because the node outlives its engine and not the other way round.
    node: Weak<Node>,
    max_message: usize,
    writes: WritesById,
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// What hangs on every socket of the engine.
#[derive(Default)]
pub(crate) struct SocketData {
    /// Taken at the end, because connection and socket hold each other.
    connection: Mutex<Option<Arc<Connection>>>,
    decoder: Decoder,
    /// Nothing while no traces are recorded.
    pub(super) writes: OnceLock<Arc<Writes>>,
}

impl Handler {
    fn receive(socket: &Socket<SocketData>, inbound: Option<Inbound>) {
        let Some(inbound) = inbound else { return };
        // Cloned out of the lock: handling may end the connection, which takes it.
        let connection = socket.data.connection.lock().clone();
        if let Some(connection) = connection {
            connection.receive(inbound);
        }
    }
}

impl EngineIoHandler for Handler {
    type Data = SocketData;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<SocketData>>) {
        let Some(node) = self.node.upgrade() else { return };
        let token = socket.req_parts.extensions.get::<HandshakeToken>().map(|HandshakeToken(token)| token.clone());
        let connection = Connection::open(&node, Outbox::new(Arc::clone(&socket)), token);
        *socket.data.connection.lock() = Some(connection);
        if trace::is_on() {
            let given = socket.req_parts.extensions.get::<Arc<Writes>>().cloned();
            socket.data.writes.get_or_init(|| given.unwrap_or_else(|| self.writes.insert(socket.id)));
        }
    }

    fn on_disconnect(&self, socket: Arc<Socket<SocketData>>, _: DisconnectReason) {
        if trace::is_on() {
            self.writes.remove(socket.id);
        }
        let connection = socket.data.connection.lock().take();
        if let Some(connection) = connection {
            connection.closed();
        }
    }

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<Socket<SocketData>>) {
        Self::receive(&socket, socket.data.decoder.text(text, self.max_message));
    }

    fn on_binary(self: &Arc<Self>, bytes: Bytes, socket: Arc<Socket<SocketData>>) {
        Self::receive(&socket, socket.data.decoder.binary(bytes, self.max_message));
    }
}
