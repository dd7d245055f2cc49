//! A Socket.IO gateway node.
//!
//! The way of a message: [`front`] (admission) → [`engine`] (protocol) → [`client`] (authentication, ordered queue,
//! [`limits`]) → [`event`] (one file each) → [`cluster`] (log and bus to every node) → [`node`] (listens) → [`room`]
//! (cursor in the log, members) or [`hub`] (members of a namespace) → `engine` → socket. The sender's own node takes
//! the same way. Updates go through a [`feed`] instead of a room. [`ops`] shows operators the state of the node.
//!
//! Architecture invariants: only [`engine`] names the protocol library; the [`hub`] knows neither Redis nor other
//! nodes; [`cluster`] knows neither sockets nor events; nothing here knows passwords or SQL.

pub mod api;
pub mod client;
pub mod cluster;
pub mod engine;
pub mod event;
pub mod feed;
pub mod front;
pub mod hub;
mod json_depth;
pub mod limits;
pub mod node;
pub mod ops;
pub mod roles;
pub mod room;
pub mod settings;

use std::sync::Arc;

use axum::Router;
use jackfield_shared::{
    lifecycle::Lifecycle,
    settings::SettingsError,
    trace,
    verify::{KeySource, Verifier},
};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    api::ApiKeys,
    cluster::{
        Cluster, MemoryCluster,
        bus::BusEvent,
        ids::{NodeId, random_id},
    },
    feed::{Feeds, rule::Rule},
    node::{Node, Policies},
    room::rules::Rules,
    settings::GatewaySettings,
};

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
    node: Arc<Node>,
}

impl Gateway {
    /// Starts a gateway, over Redis if `redis.url` is set, else as a cluster of its own. Does not wait for Redis: the
    /// gateway is unready until it answers.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn build(settings: GatewaySettings, keys: KeySource, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let id = node_id(&settings)?;
        let terms = settings.terms();
        let (cluster, events) = match settings.redis.url.as_str() {
            "" => MemoryCluster::new(terms).join(),
            _ => cluster::over_redis(settings.redis.target()?, &settings.redis.prefix, &id, terms, lifecycle),
        };
        Self::join(settings, keys, lifecycle, id, cluster, events)
    }

    /// Starts a gateway as one more node of a cluster within this process.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn build_in(
        cluster: &MemoryCluster,
        settings: GatewaySettings,
        keys: KeySource,
        lifecycle: &Lifecycle,
    ) -> Result<Self, StartError> {
        let id = node_id(&settings)?;
        let (cluster, events) = cluster.join();
        Self::join(settings, keys, lifecycle, id, cluster, events)
    }

    fn join(
        settings: GatewaySettings,
        keys: KeySource,
        lifecycle: &Lifecycle,
        id: NodeId,
        cluster: Cluster,
        events: mpsc::Receiver<BusEvent>,
    ) -> Result<Self, StartError> {
        settings.check()?;
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let verifier = Verifier::new(keys, named(&settings.jwt.issuer), named(&settings.jwt.audience));
        let policies = Policies {
            sessions: settings.policy()?,
            rooms: Rules::parse(&settings.rooms.rules)?,
            feeds: Feeds::new(Rule::parse_all(&settings.feeds)?),
            api_keys: ApiKeys::parse(&settings.api.keys)?,
        };
        jackfield_shared::metrics::install(ops::metrics::METRICS, lifecycle);
        trace::install(&settings.otel, "jackfield-gateway", id.as_str(), lifecycle)?;
        let node = Node::new(id, settings, policies, cluster, verifier, lifecycle.clone());
        node.start(events);
        Ok(Self { node })
    }

    /// The public routes.
    pub fn router(&self) -> Router {
        front::router(&self.node)
    }

    /// The internal routes.
    pub fn internal_router(&self) -> Router {
        // No proxy is in front of this port, so no forwarding header is trusted for a caller's address.
        ops::health::router(Arc::clone(&self.node)).merge(api::router(&self.node, 0))
    }

    /// Samples the gauges, for [`jackfield_shared::metrics::render`].
    pub fn look(&self) {
        ops::metrics::look(&self.node);
    }

    /// The node behind the routes.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Serves `router` on `listener` until the lifecycle ends.
    pub async fn serve(&self, listener: TcpListener, router: Router) {
        let lifecycle = &self.node.lifecycle;
        // On a worker thread: any other thread would hand every connection over to one.
        let serving = lifecycle.spawn(jackfield_shared::serve::serve(listener, router, lifecycle.clone()));
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

/// The configured name with a random part, so that a restarted node is never taken for the one before.
fn node_id(settings: &GatewaySettings) -> Result<NodeId, SettingsError> {
    let name = &settings.node.id;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.chars().all(plain) || name.len() > 64 {
        return Err(SettingsError::new("setting `node.id` may have 64 letters, digits, `-`, `_` and `.`"));
    }
    let name = if name.is_empty() { "gateway" } else { name };
    Ok(NodeId(format!("{name}-{}", random_id()).into()))
}
