//! Answers requests with the library, and passes the library's events to the sessions.

use std::{collections::HashMap, convert::Infallible, fmt, sync::Arc};

use axum::{
    body::Body,
    http::{Method, Request, Response},
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
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use tower::Service;

use super::{
    numeric_codes,
    outbox::OxideOutbox,
    poll, post,
    request::{self, PATH},
    socket_data::SocketData,
    stream::Stream,
    wire::{Wire, WireLimits},
};
use crate::{
    Accept, CloseReason, EngineLimits, Handshake, Outbox, Permit, failure::Failure, packet::DecoderLimits,
    stragglers::Stragglers, websocket::handshake,
};

/// The library's queue size for no limit on frames; the limit on bytes still applies.
const ANY_NUMBER: usize = 1 << 20;

/// Speaks Engine.IO to clients. Cheap to clone.
pub struct Engine<P: Permit> {
    service: EngineIoService<Handler<P>, NotFoundService>,
    handler: Arc<Handler<P>>,
    lifecycle: Lifecycle,
}

impl<P: Permit> Engine<P> {
    /// An engine that passes new connections to `accept`.
    #[must_use]
    pub fn new(accept: Arc<dyn Accept<P>>, limits: EngineLimits, lifecycle: Lifecycle) -> Self {
        let config = EngineIoConfig::builder()
            .req_path(PATH)
            .ping_interval(limits.ping_interval)
            .ping_timeout(limits.ping_timeout)
            .max_buffer_size(if limits.queue == 0 { ANY_NUMBER } else { limits.queue })
            .max_payload(limits.max_message as u64)
            .ws_max_message_size(limits.max_message)
            .ws_max_frame_size(limits.max_message)
            // Most sockets are idle and send short messages; the buffer grows by itself for longer ones.
            .ws_read_buffer_size(256)
            .build();
        let wires = WireLimits { queue_bytes: limits.queue_bytes as u64, stragglers: Stragglers::default() };
        let wires = Arc::new(wires);
        let handler = Arc::new(Handler {
            accept,
            max_message: limits.max_message,
            decoding: DecoderLimits::of(&limits),
            wires: Arc::clone(&wires),
            polling: Mutex::default(),
        });
        let stop = lifecycle.stopping();
        lifecycle.spawn(async move { wires.stragglers.watch(limits.queue_age, stop).await });
        let service = EngineIoService::with_config(Arc::clone(&handler), config);
        Self { service, handler, lifecycle }
    }

    /// Answers a request. `handshake` was parsed from it, and admission gave it `permit`.
    pub async fn answer(self, request: Request<Body>, handshake: Handshake, permit: Option<P>) -> Response<Body> {
        let is_websocket = handshake::is_websocket_request(request.method(), &handshake);
        let target = self.handler.target(&handshake);
        match (is_websocket, target) {
            (true, target) => self.websocket(request, handshake, permit, &target).unwrap_or_else(Failure::response),
            (false, Target::Polling(socket)) => self.poll(request, &handshake, &socket).await,
            // A handshake, or a request that the library refuses.
            (false, _) => {
                let parts = request.into_parts().0;
                let mut request = request::polling(&parts, &handshake, Body::empty());
                request.extensions_mut().insert(Opening::new(handshake, permit));
                self.library(request).await
            }
        }
    }

    fn websocket(
        mut self,
        request: Request<Body>,
        handshake: Handshake,
        permit: Option<P>,
        target: &Target,
    ) -> Result<Response<Body>, Failure> {
        handshake::check(request.headers())?;
        let wire = match target {
            Target::New => Wire::new(Arc::clone(&self.handler.wires)),
            Target::Unknown => return Err(Failure::UnknownSession),
            Target::Polling(socket) if socket.transport_type() == TransportType::Websocket => {
                return Err(Failure::BadRequest);
            }
            Target::Polling(socket) => Arc::clone(socket.data.shared_wire().ok_or(Failure::UnknownSession)?),
        };
        let lifecycle = self.lifecycle.clone();
        let mut own = request::own(Method::GET, &handshake, ());
        let opening = Opening::new(handshake, permit);
        Ok(handshake::accept(request, &lifecycle, move |socket, early| {
            let stream = Stream::new(socket, early.into(), Arc::clone(&wire));
            own.extensions_mut().insert(wire);
            own.extensions_mut().insert(opening);
            // The call returns at once; the connection runs in a task of the library.
            drop(Service::call(&mut self.service, (stream, own)));
        }))
    }

    /// Receives a polling client's POST, or answers its poll.
    async fn poll(self, request: Request<Body>, handshake: &Handshake, socket: &Socket<SocketData>) -> Response<Body> {
        let Some(wire) = socket.data.shared_wire() else { return Failure::UnknownSession.response() };
        if request.method() == Method::POST {
            let (parts, body) = request.into_parts();
            let own = request::polling(&parts, handshake, ());
            return match post::read(Request::from_parts(parts, body), socket, wire, self.handler.max_message).await {
                Ok(body) => self.library(own.map(|()| Body::from(body))).await,
                Err(failure) => failure.response(),
            };
        }
        let Some(claim) = wire.begin_answer() else {
            socket.close(DisconnectReason::MultipleHttpPollingError);
            return Failure::BadRequest.response();
        };
        let parts = request.into_parts().0;
        let response = self.library(request::polling(&parts, handshake, Body::empty())).await;
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(payload) => Response::from_parts(parts, poll::answer(payload.to_bytes(), wire, claim)),
            Err(_) => Failure::BadRequest.response(),
        }
    }

    async fn library(mut self, request: Request<Body>) -> Response<Body> {
        let answered: Result<_, Infallible> = Service::call(&mut self.service, request).await;
        match answered {
            Ok(response) => numeric_codes::with_numeric_codes(response.map(Body::new)).await,
            Err(never) => match never {},
        }
    }
}

// A derived one would require `P: Clone`, although no `P` is cloned.
impl<P: Permit> Clone for Engine<P> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), handler: Arc::clone(&self.handler), lifecycle: self.lifecycle.clone() }
    }
}

/// The handshake and permit of a new connection, as an extension of the library's request. They are taken out when the
/// connection opens, because the library keeps the request as long as the connection.
struct Opening<P>(Arc<Mutex<Option<Begins<P>>>>);

type Begins<P> = (Handshake, Option<P>);

impl<P> Opening<P> {
    fn new(handshake: Handshake, permit: Option<P>) -> Self {
        Self(Arc::new(Mutex::new(Some((handshake, permit)))))
    }
}

impl<P> Clone for Opening<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Passes the library's events to the sessions.
struct Handler<P: Permit> {
    accept: Arc<dyn Accept<P>>,
    max_message: usize,
    decoding: DecoderLimits,
    wires: Arc<WireLimits>,
    /// Sockets that began with polling, by the id that their requests carry.
    polling: Mutex<HashMap<Sid, Arc<Socket<SocketData>>>>,
}

impl<P: Permit> fmt::Debug for Handler<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// The connection that a request belongs to.
enum Target {
    /// None yet: the request is a handshake.
    New,
    /// A connection that does not exist, or did not begin with polling.
    Unknown,
    /// A connection that began with polling.
    Polling(Arc<Socket<SocketData>>),
}

impl<P: Permit> Handler<P> {
    fn target(&self, handshake: &Handshake) -> Target {
        if handshake.sid.is_none() {
            return Target::New;
        }
        let id = request::socket_id(handshake);
        id.and_then(|id| self.polling.lock().get(&id).cloned()).map_or(Target::Unknown, Target::Polling)
    }
}

impl<P: Permit> EngineIoHandler for Handler<P> {
    type Data = SocketData;

    fn on_connect(self: Arc<Self>, socket: Arc<Socket<SocketData>>) {
        let extensions = &socket.req_parts.extensions;
        let given = extensions.get::<Arc<Wire>>().cloned();
        socket.data.set_wire(given.unwrap_or_else(|| Wire::new(Arc::clone(&self.wires))));
        // Present in every request that begins a connection.
        let opening = extensions.get::<Opening<P>>().and_then(|opening| opening.0.lock().take());
        let Some((handshake, permit)) = opening else { return };
        let outbox = Outbox::Oxide(OxideOutbox::new(Arc::clone(&socket)));
        let session = self.accept.open(handshake, permit, outbox);
        socket.data.begin(session);
        if socket.transport_type() == TransportType::Polling {
            self.polling.lock().insert(socket.id, socket);
        }
    }

    fn on_disconnect(&self, socket: Arc<Socket<SocketData>>, reason: DisconnectReason) {
        self.polling.lock().remove(&socket.id);
        socket.data.close(close_reason(&reason));
    }

    fn on_message(self: &Arc<Self>, text: Str, socket: Arc<Socket<SocketData>>) {
        socket.data.receive_text(&text, self.decoding);
    }

    fn on_binary(self: &Arc<Self>, bytes: Bytes, socket: Arc<Socket<SocketData>>) {
        socket.data.receive_binary(&bytes, self.decoding);
    }
}

fn close_reason(reason: &DisconnectReason) -> CloseReason {
    match reason {
        DisconnectReason::TransportClose => CloseReason::ClientClosed,
        DisconnectReason::MultipleHttpPollingError | DisconnectReason::PacketParsingError => CloseReason::ProtocolError,
        DisconnectReason::TransportError => CloseReason::TransportError,
        DisconnectReason::HeartbeatTimeout => CloseReason::PingTimeout,
        // The library itself gives this reason only at the end of the process.
        DisconnectReason::ClosingServer => CloseReason::Draining,
    }
}
