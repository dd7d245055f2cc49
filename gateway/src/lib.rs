//! A Socket.IO gateway node.
//!
//! The layers, from the top; each uses those below it, and a test checks that nothing points up. This file builds
//! everything and wires it.
//!
//! - [`api`], [`front`], [`ops`]: HTTP for backends, the public port, health and metrics
//! - [`node`]: background work
//! - [`event`]: one file per client event · [`fact`]: delivers facts to backends
//! - [`emit`]: what backends send to sockets, and order for them
//! - [`session`]: connections and their sockets, and what they share
//! - [`room`], [`feed`]: stored messages and their receivers
//! - [`log_follower`]: a log's messages, once and in order, whatever the bus loses
//! - [`hub`]: members and fan-out · [`relay`]: polls for other nodes · [`hook`]: calls of backends
//! - [`jackfield_engine`], [`jackfield_cluster`]: the protocol with clients; what nodes share
//! - leaves: [`settings`], [`metrics`], [`limits`], [`revocation`], [`roles`], [`notification`], [`user_id`]
//!
//! The path of a stored message: [`front`] (admission) → engine (protocol) → [`session`] (authentication, ordered
//! queue, limits) → [`event`] → cluster (log, and bus to every node) → [`node`] (receives) → [`room`] (through
//! [`log_follower`]) → [`hub`] → engine → socket. The sender's own node receives it over the bus, too.
//!
//! Deliberately knows no passwords and no SQL: the auth service does.

mod api;
mod emit;
mod event;
mod fact;
mod feed;
mod front;
mod hook;
mod hub;
mod limits;
mod log_follower;
pub mod metrics;
mod node;
mod notification;
mod ops;
mod relay;
mod revocation;
mod roles;
mod room;
mod session;
pub mod settings;
mod user_id;

use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use jackfield_cluster::{
    Cluster, MemoryCluster,
    bus::{BusEvents, EmitterMessage},
    ids::{NodeId, random_id},
    over_redis,
    revocations::Revocations,
};
use jackfield_engine::testing::TestClient;
use jackfield_shared::{
    lifecycle::Lifecycle,
    origins::AllowList,
    serve::{First, serve},
    settings::SettingsError,
    trace,
    verify::KeySource,
};
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::TcpListener;

use crate::{
    api::{Api, ApiKeys},
    event::Events,
    feed::rule::Rule,
    front::FirstHandshakes,
    hook::{Ground, Hooks},
    room::rules::Rules,
    session::{Acceptor, NAMESPACES, Policies, Shared},
    settings::GatewaySettings,
};
pub use crate::{ops::Unkept, session::Readiness};

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A port cannot be bound.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, std::io::Error),
}

/// A running gateway: its background work has started.
pub struct Gateway {
    engine: front::NodeEngine,
    shared: Arc<Shared>,
    /// The origins of pages; one list, because it logs what it refuses once.
    origins: Arc<AllowList>,
    api: Arc<Api>,
}

impl Gateway {
    /// Starts a gateway, over Redis if the settings name one, else as a cluster of its own. Does not wait for Redis: the
    /// gateway is unready until it answers. `keys` are those of the default issuer; there may be none if the settings
    /// have other issuers.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn build(
        settings: GatewaySettings,
        keys: impl Into<Option<KeySource>>,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StartError> {
        let id = node_id(&settings)?;
        let terms = settings.terms();
        let (cluster, events) = match settings.redis.is_set() {
            false => MemoryCluster::new(terms).join(),
            true => over_redis(settings.redis.topology()?, &settings.redis.prefix, &id, terms, lifecycle),
        };
        Self::join(settings, keys.into(), lifecycle, id, cluster, events)
    }

    /// Starts a gateway as one more node of a cluster within this process.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn build_in(
        cluster: &MemoryCluster,
        settings: GatewaySettings,
        keys: impl Into<Option<KeySource>>,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StartError> {
        let id = node_id(&settings)?;
        let (cluster, events) = cluster.join();
        Self::join(settings, keys.into(), lifecycle, id, cluster, events)
    }

    fn join(
        settings: GatewaySettings,
        keys: Option<KeySource>,
        lifecycle: &Lifecycle,
        id: NodeId,
        cluster: Cluster,
        events: BusEvents,
    ) -> Result<Self, StartError> {
        settings.check()?;
        let verifier = settings.verifier(keys)?;
        let policies = Policies {
            sessions: settings.policy()?,
            rooms: Rules::parse(&settings.rooms.rules)?,
            feeds: Rule::parse_all(&settings.feeds)?,
            hooks: Arc::new(Hooks::parse(&settings.hooks, ground(&settings), &lifecycle.stopping())?),
        };
        fact::check(&policies.hooks, cluster.facts.kinds())?;
        let engine = settings.engine()?;
        let keys = ApiKeys::parse(&settings.api.keys)?;
        for list in [metrics::METRICS, jackfield_cluster::metrics::METRICS] {
            jackfield_shared::metrics::install(list, lifecycle);
        }
        trace::install(&settings.otel, "jackfield-gateway", id.as_str(), lifecycle)?;
        let shared =
            Shared::new(id, settings, policies, cluster, verifier, lifecycle.clone(), Box::new(Events::default()));
        node::start(&shared, events);
        ops::watch(&shared);
        let engine = front::engine(&shared, engine);
        let api = Api::new(&shared, keys);
        let origins = Arc::new(AllowList::new(&shared.settings.cors.origins));
        Ok(Self { engine, shared, origins, api })
    }

    /// A client in this process without a transport, for tests of everything above the engine. `token` is sent in its
    /// handshake.
    #[must_use]
    pub fn test_client(&self, token: Option<&str>) -> TestClient {
        TestClient::connect(&Acceptor(Arc::clone(&self.shared)), token, None)
    }

    /// Handles a message of an emitter as if it came from Redis, for tests. `channel` is the channel's name after the prefix.
    /// Returns whether it took effect, or was of no concern.
    pub async fn test_emitted(&self, channel: &str, payload: impl Into<Bytes>) -> bool {
        let message = EmitterMessage { channel: channel.to_owned(), payload: payload.into() };
        emit::emitter::handle(&self.shared, &message).await.is_ok()
    }

    /// The public routes.
    pub fn router(&self) -> Router {
        let settings = &self.shared.settings;
        let api = settings.api.public.then(|| api::router(&self.api, settings.proxy.hops as usize));
        front::router(&self.shared, self.engine.clone(), &self.origins, api)
    }

    /// The internal routes.
    pub fn internal_router(&self) -> Router {
        // No proxy is in front of this port, so no forwarding header is trusted for a caller's address.
        let passed_on = front::passed_on(&self.shared, self.engine.clone());
        ops::router(Arc::clone(&self.shared)).merge(passed_on).merge(api::router(&self.api, 0))
    }

    /// The node's id.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.shared.id
    }

    /// The cluster's list of revocations, for an auth service in the same process.
    #[must_use]
    pub fn revocations(&self) -> Revocations {
        self.shared.cluster.revocations.clone()
    }

    /// Whether the node can serve clients, and which parts are not ready.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness()
    }

    /// The promises of rules that are not kept at present, as far as is known.
    #[must_use]
    pub fn unkept(&self) -> Vec<Unkept> {
        ops::unkept(&self.shared)
    }

    /// Samples the gauges, for [`jackfield_shared::metrics::render`].
    pub fn sample_gauges(&self) {
        ops::sample(&self.shared);
    }

    /// Serves the public routes, within `routes`, on `listener` until the lifecycle ends.
    pub async fn serve_public(&self, listener: TcpListener, routes: Router) {
        let first = FirstHandshakes::new(&self.shared, self.engine.clone(), &self.origins);
        self.serve(listener, routes, Some(Arc::new(first))).await;
    }

    /// Serves the internal routes, within `routes`, on `listener` until the lifecycle ends.
    pub async fn serve_internal(&self, listener: TcpListener, routes: Router) {
        self.serve(listener, routes, None).await;
    }

    async fn serve(&self, listener: TcpListener, routes: Router, first: Option<Arc<dyn First>>) {
        let lifecycle = &self.shared.lifecycle;
        // On a worker thread: the main thread would have to pass every connection to one.
        let serving = lifecycle.spawn(serve(listener, routes, first, lifecycle.clone()));
        // A task that panicked has ended, too.
        let _ = serving.await;
    }
}

/// A listener on a host and port.
///
/// # Errors
/// Names the address that cannot be bound.
pub async fn listen(host: &str, port: u16) -> Result<TcpListener, StartError> {
    let at = format!("{host}:{port}");
    TcpListener::bind(&at).await.map_err(|error| StartError::Listen(at, error))
}

/// A listener for clients, each of whose connections has the configured send buffer.
///
/// # Errors
/// Names the address that cannot be bound, or whose buffer cannot be set.
pub async fn listen_for_clients(settings: &GatewaySettings) -> Result<TcpListener, StartError> {
    let listener = listen(&settings.host, settings.port).await?;
    let bytes = settings.limits.send_buffer as usize;
    if bytes > 0 {
        // Connections inherit it, so that accepting one needs no further system call.
        set_socket_send_buffer_size(&listener, bytes)
            .map_err(|error| StartError::Listen(format!("{}:{}", settings.host, settings.port), error.into()))?;
    }
    Ok(listener)
}

/// The surroundings of the configured hooks.
fn ground(settings: &GatewaySettings) -> Ground<'_> {
    Ground {
        namespaces: &NAMESPACES,
        own_events: &event::NAMES,
        off: &settings.events.off,
        concurrency: settings.hook.concurrency as usize,
    }
}

/// The configured name with a random part, so that other nodes distinguish a restarted node from its predecessor.
fn node_id(settings: &GatewaySettings) -> Result<NodeId, SettingsError> {
    let name = &settings.node.id;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.chars().all(plain) || name.len() > 64 {
        return Err(SettingsError::new("setting `node.id` must be at most 64 letters, digits, `-`, `_` or `.`"));
    }
    let name = if name.is_empty() { "gateway" } else { name };
    Ok(NodeId(format!("{name}-{}", random_id()).into()))
}
