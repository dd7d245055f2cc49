//! Answers requests: begins connections, and finds the connection that a request belongs to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::Body,
    http::{Method, Request, Response, request::Parts},
};
use jackfield_shared::{lifecycle::Lifecycle, serve::Taker};
use tokio::{net::TcpStream, runtime::Handle};

use super::{
    outbox::NativeOutbox,
    polling::{Polling, poll, post},
    probe::{Probe, close},
    reader::Reader,
    shard::Shard,
    table::Table,
    wire::Wire,
};
use crate::{
    Accept, EngineLimits, Frame, Handshake, Outbox, Owner, Permit, Relay, Transport, failure::Failure, stamp,
    websocket::handshake,
};

/// Speaks Engine.IO to clients. Cheap to clone.
pub struct Engine<P: Permit> {
    accept: Arc<dyn Accept<P>>,
    relay: Arc<dyn Relay>,
    shards: Arc<Shards>,
}

/// One shard for each thread of the runtime: their flushes run side by side.
struct Shards {
    all: Vec<Arc<Shard>>,
    /// Connections with polling, by their ids.
    polling: Arc<Table<Wire>>,
    next: AtomicUsize,
}

impl<P: Permit> Engine<P> {
    /// An engine that passes new connections to `accept`. Call it within a runtime.
    #[must_use]
    pub fn new(accept: Arc<dyn Accept<P>>, relay: Arc<dyn Relay>, limits: EngineLimits, lifecycle: &Lifecycle) -> Self {
        let polling = Arc::<Table<Wire>>::default();
        let shards = 0..Handle::current().metrics().num_workers().max(1);
        let all = shards.map(|_| Shard::start(limits, lifecycle, &polling)).collect();
        Self { accept, relay, shards: Arc::new(Shards { all, polling, next: AtomicUsize::new(0) }) }
    }

    /// Answers a request. `handshake` was parsed from it, and admission gave it `permit`.
    pub async fn answer(self, request: Request<Body>, handshake: Handshake, permit: Option<P>) -> Response<Body> {
        let answered = match (handshake.transport, &handshake.sid) {
            (None, _) => Err(Failure::UnknownTransport),
            (Some(transport), None) => self.begin(transport, request, handshake, permit).await,
            (Some(transport), Some(sid)) => match self.find(sid) {
                Found::Own(wire) => self.go_on(transport, request, wire).await,
                Found::Elsewhere => self.pass_on(transport, request, sid).await,
                Found::Nowhere => Err(Failure::UnknownSession),
            },
        };
        answered.unwrap_or_else(Failure::response)
    }

    /// Takes over the socket of a request that begins a WebSocket: see [`crate::Engine::take`]. The handshake's answer
    /// and the open packet leave in one write.
    pub fn take(
        &self,
        request: &Parts,
        handshake: Handshake,
        admit: impl FnOnce(&Handshake) -> Option<Option<P>>,
    ) -> Option<Taker> {
        let headers = &request.headers;
        let begins = handshake.sid.is_none() && handshake::is_websocket_request(&request.method, &handshake);
        if !begins || handshake::check(headers).is_err() {
            return None;
        }
        let permit = admit(&handshake)?;
        let answer = Frame::http_answer(handshake::answer(headers));
        let engine = self.clone();
        Some(Box::new(move |socket, early| {
            let shard = Arc::clone(engine.shards.next());
            engine.start(&shard, socket, early, Some(answer), handshake, permit);
        }))
    }

    /// Answers a request that another process passed on. It is never passed on again.
    pub async fn answer_passed_on(self, request: Request<Body>, handshake: Handshake) -> Response<Body> {
        let answered = match (handshake.transport, handshake.sid.as_deref().map(|sid| self.find(sid))) {
            (Some(transport), Some(Found::Own(wire))) => self.go_on(transport, request, wire).await,
            _ => Err(Failure::UnknownSession),
        };
        answered.unwrap_or_else(Failure::response)
    }

    /// Answers the connection's poll now, if one hangs.
    pub fn release_poll(&self, sid: &str) {
        if let Some(wire) = self.shards.polling.get(sid)
            && let Some(polling) = &mut wire.state().polling
        {
            polling.release();
        }
    }

    fn find(&self, sid: &str) -> Found {
        // First the table: after a change of keys, the relay may not recognise ids of this process.
        if let Some(wire) = self.shards.polling.get(sid) {
            return Found::Own(Some(wire));
        }
        match self.relay.owner(sid) {
            Owner::Own => Found::Own(None),
            Owner::Other => Found::Elsewhere,
            Owner::Nobody => Found::Nowhere,
        }
    }

    /// A request of a connection of another process.
    async fn pass_on(
        &self,
        transport: Transport,
        request: Request<Body>,
        sid: &str,
    ) -> Result<Response<Body>, Failure> {
        match transport {
            Transport::Polling => check_poll(&request)?,
            Transport::WebSocket => check_upgrade(&request)?,
        }
        Ok(self.relay.pass_on(transport, sid.into(), request).await)
    }

    /// A request of a connection of this process; `None` if the connection has ended, or no longer polls.
    async fn go_on(
        &self,
        transport: Transport,
        request: Request<Body>,
        wire: Option<Arc<Wire>>,
    ) -> Result<Response<Body>, Failure> {
        match transport {
            Transport::Polling => poll_or_post(request, wire.ok_or(Failure::UnknownSession)?).await,
            Transport::WebSocket => {
                check_upgrade(&request)?;
                Ok(self.upgrade(request, wire.as_ref()))
            }
        }
    }

    /// A request that begins a connection.
    async fn begin(
        self,
        transport: Transport,
        request: Request<Body>,
        handshake: Handshake,
        permit: Option<P>,
    ) -> Result<Response<Body>, Failure> {
        if request.method() != Method::GET {
            return Err(Failure::HandshakeMethod);
        }
        if !handshake.is_version_4 {
            return Err(Failure::EngineVersion);
        }
        let shard = Arc::clone(self.shards.next());
        match transport {
            Transport::WebSocket => {
                handshake::check(request.headers())?;
                let lifecycle = shard.lifecycle.clone();
                Ok(handshake::accept(request, &lifecycle, move |socket, early| {
                    self.start(&shard, socket, early, None, handshake, permit);
                }))
            }
            Transport::Polling => {
                let sid = self.relay.new_sid();
                let wire = Wire::polling(&shard, Polling::new(sid.clone()));
                self.shards.polling.insert(sid.clone(), &wire);
                self.open(&wire, &sid, "[\"websocket\"]", handshake, permit);
                Ok(poll::answer(wire, None).await)
            }
        }
    }

    /// A WebSocket for a connection with polling. If it cannot be that, for example because another one is, it is
    /// accepted and closed, as by Engine.IO's own server.
    fn upgrade(&self, request: Request<Body>, wire: Option<&Arc<Wire>>) -> Response<Body> {
        let probe = wire.and_then(Probe::begin);
        let lifecycle = self.shards.next().lifecycle.clone();
        handshake::accept(request, &lifecycle.clone(), move |socket, early| match probe {
            Some(probe) => drop(lifecycle.spawn(probe.run(socket, early))),
            None => close(&socket),
        })
    }

    /// A connection over a WebSocket; `answer` is sent before anything else.
    fn start(
        &self,
        shard: &Arc<Shard>,
        socket: TcpStream,
        mut early: Vec<u8>,
        answer: Option<Frame>,
        handshake: Handshake,
        permit: Option<P>,
    ) {
        let (read, write) = socket.into_split();
        let wire = Wire::websocket(shard, write);
        if let Some(answer) = answer {
            wire.push(&mut wire.state(), answer);
        }
        self.open(&wire, &self.relay.new_sid(), "[]", handshake, permit);
        if early.is_empty() || wire.read(&mut early).is_continue() {
            Reader::start(read, &wire);
        }
    }

    /// Sends the open packet, and passes the connection to its session. `sid` and `upgrades` need no escapes in JSON.
    fn open(&self, wire: &Arc<Wire>, sid: &str, upgrades: &str, handshake: Handshake, permit: Option<P>) {
        let limits = &wire.shard.limits;
        let (interval, timeout) = (limits.ping_interval.as_millis(), limits.ping_timeout.as_millis());
        let open = format!(
            "0{{\"sid\":\"{sid}\",\"upgrades\":{upgrades},\"pingInterval\":{interval},\"pingTimeout\":{timeout},\
             \"maxPayload\":{}}}",
            limits.max_message
        );
        wire.push(&mut wire.state(), Frame::engine_packet(&open));
        let session = self.accept.open(handshake, permit, Outbox::Native(NativeOutbox::new(wire)));
        wire.begin(session);
    }
}

fn check_poll(request: &Request<Body>) -> Result<(), Failure> {
    match *request.method() {
        Method::GET | Method::POST => Ok(()),
        _ => Err(Failure::BadRequest),
    }
}

fn check_upgrade(request: &Request<Body>) -> Result<(), Failure> {
    match *request.method() {
        Method::GET => handshake::check(request.headers()),
        _ => Err(Failure::BadRequest),
    }
}

/// The place of a connection.
enum Found {
    /// Here; `None` if it has ended, or no longer polls.
    Own(Option<Arc<Wire>>),
    /// In another process.
    Elsewhere,
    Nowhere,
}

/// A request of a connection with polling.
async fn poll_or_post(request: Request<Body>, wire: Arc<Wire>) -> Result<Response<Body>, Failure> {
    match *request.method() {
        Method::GET => Ok(poll::answer(wire, stamp(request.uri())).await),
        Method::POST => Ok(post::receive(&wire, request).await),
        _ => Err(Failure::BadRequest),
    }
}

impl Shards {
    /// The shard of the next connection.
    fn next(&self) -> &Arc<Shard> {
        &self.all[self.next.fetch_add(1, Ordering::Relaxed) % self.all.len()]
    }
}

// A derived one would require `P: Clone`, although no `P` is cloned.
impl<P: Permit> Clone for Engine<P> {
    fn clone(&self) -> Self {
        Self { accept: Arc::clone(&self.accept), relay: Arc::clone(&self.relay), shards: Arc::clone(&self.shards) }
    }
}
