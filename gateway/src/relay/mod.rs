//! Passes requests of polling clients on to the nodes that have their connections.
//!
//! A balancer without affinity sends each request to any node. [`sid`]: a connection's id names its node · [`peers`]:
//! the nodes' addresses · [`poll`]: one GET or POST, passed on over HTTP to the owner's internal port · [`tunnel`]: the
//! WebSocket of an upgrade, passed on byte by byte. Guarantees: an id that the cluster did not make is refused without a
//! look-up; a request is passed on once at most; the end of either side ends the other; a request for a node that is not
//! live or not reachable is answered at once, so that the stock client connects anew. Deliberately keeps nothing for a
//! client: if this node ends, its clients' connections at other nodes do not.

mod peers;
mod poll;
mod sid;
mod tunnel;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, Method, Request, Response},
};
use futures_util::future::BoxFuture;
use jackfield_cluster::{
    ids::{Incarnation, NodeId},
    membership::{Membership, Secret},
};
use jackfield_engine::{Owner, Transport, unknown_session};
use jackfield_shared::lifecycle::Lifecycle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::{
    peers::{Peer, Peers},
    poll::Client,
    sid::Key,
};
use crate::{metrics, settings::GatewaySettings};

/// The route for passed on requests on the internal port.
pub(crate) const PATH: &str = "/relay";
/// The method by which a node that shuts down asks the owner to answer a poll that hangs.
pub(crate) const RELEASE: Method = Method::DELETE;
/// The header with the proof that a node of the cluster passed a request on.
const PASS: HeaderName = HeaderName::from_static("x-jackfield-pass");
/// How long a request may wait while this node joins the cluster.
const JOIN_WITHIN: Duration = Duration::from_secs(3);
/// The time for which a drain ends one of those that are passed on, if the window allows.
const TURN: Duration = Duration::from_millis(50);
/// How much longer than a poll may hang its answer may take.
const MARGIN: Duration = Duration::from_secs(15);

/// See the module.
pub(crate) struct Relay {
    own: NodeId,
    key: ArcSwap<Key>,
    /// Cancelled once the key is that of the cluster.
    joined: CancellationToken,
    /// Host and internal port, as other nodes reach this one.
    address: ArcSwapOption<String>,
    peers: Peers,
    client: Client,
    lifecycle: Lifecycle,
    /// How long passing on a request may take.
    limit: Duration,
    /// Requests that are passed on now, and the most at a time; 0 for no limit.
    passing: Arc<AtomicUsize>,
    most: usize,
    drain: Drain,
}

/// The end of what is passed on, when this node shuts down.
#[derive(Default)]
struct Drain {
    begun: CancellationToken,
    /// When it began, and how long it takes.
    window: OnceLock<(Instant, Duration)>,
}

/// Why a request could not be passed on; `/metrics` has the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// The owner is not live.
    NotLive,
    /// The owner does not accept connections.
    Unreachable,
    /// The owner closed the connection, or was lost while it had the request.
    Interrupted,
    /// The owner did not answer in time.
    TimedOut,
    /// This node passes on too much.
    TooMany,
}

/// Counts a request that is passed on.
struct Passing(Arc<Relay>);

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.passing.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Relay {
    pub(crate) fn new(
        own: &NodeId,
        membership: &Membership,
        settings: &GatewaySettings,
        lifecycle: &Lifecycle,
    ) -> Arc<Self> {
        let passing = Arc::<AtomicUsize>::default();
        Arc::new(Self {
            own: own.clone(),
            // No other node knows this one; it is replaced before the node admits clients.
            key: ArcSwap::from_pointee(Key::new(Secret::random())),
            joined: CancellationToken::new(),
            address: ArcSwapOption::empty(),
            peers: Peers::new(membership.clone()),
            client: poll::client(lifecycle, &passing),
            lifecycle: lifecycle.clone(),
            limit: settings.ping.interval + settings.ping.timeout + MARGIN,
            passing,
            most: settings.limits.connections as usize,
            drain: Drain::default(),
        })
    }

    /// The secret to propose to the cluster: the one that this node has, so that its clients' ids stay genuine after the
    /// back end lost its data.
    pub(crate) fn secret(&self) -> Secret {
        self.key.load().secret.clone()
    }

    /// Uses the cluster's secret.
    pub(crate) fn adopt(&self, secret: Secret) {
        if self.key.load().secret != secret {
            self.key.store(Arc::new(Key::new(secret)));
        }
        self.joined.cancel();
    }

    /// Waits until this node has the cluster's secret, and so recognises other nodes' ids; at most [`JOIN_WITHIN`].
    pub(crate) async fn joined(&self) {
        let _ = tokio::time::timeout(JOIN_WITHIN, self.joined.cancelled()).await;
    }

    /// Host and internal port, as other nodes reach this one; empty until that is known.
    pub(crate) fn address(&self) -> String {
        self.address.load().as_deref().cloned().unwrap_or_default()
    }

    pub(crate) fn set_address(&self, address: &str) {
        self.address.store(Some(Arc::new(address.to_owned())));
    }

    /// These nodes were live when the back end was `asked`, and no others.
    pub(crate) async fn follow(&self, live: &[Incarnation], asked: std::time::Instant) {
        self.peers.follow(live, asked, self.own.tag()).await;
    }

    /// Whether a node of the cluster passed on this request for the connection.
    pub(crate) fn is_passed_on(&self, headers: &HeaderMap, sid: &str) -> bool {
        let pass = headers.get(PASS).and_then(|pass| pass.to_str().ok());
        pass.is_some_and(|pass| self.key.load().is_pass(pass, sid))
    }

    /// Requests that are passed on now.
    pub(crate) fn count(&self) -> usize {
        self.passing.load(Ordering::Acquire)
    }

    /// Ends everything that is passed on, evenly over this time, or sooner if it is little. Clients on polling do not
    /// lose their connections.
    pub(crate) fn drain(&self, window: Duration) {
        let count = u32::try_from(self.count()).unwrap_or(u32::MAX);
        let _ = self.drain.window.set((Instant::now(), window.min(TURN.saturating_mul(count))));
        self.drain.begun.cancel();
    }

    fn begin(self: &Arc<Self>) -> Result<Passing, Failed> {
        let before = self.passing.fetch_add(1, Ordering::AcqRel);
        let passing = Passing(Arc::clone(self));
        if self.most > 0 && before >= self.most { Err(Failed::TooMany) } else { Ok(passing) }
    }

    async fn owner_of(&self, sid: &str) -> Result<Arc<Peer>, Failed> {
        let key = self.key.load_full();
        let tag = key.tag(sid).ok_or(Failed::NotLive)?;
        self.peers.get(tag).await.ok_or(Failed::NotLive)
    }

    /// Completes at a random moment of the drain.
    async fn drained(&self) {
        self.drain.begun.cancelled().await;
        if let Some((begun, window)) = self.drain.window.get() {
            tokio::time::sleep_until(*begun + window.mul_f64(rand::random())).await;
        }
    }
}

/// The node's relay, as its engine has it.
pub(crate) struct EngineRelay(pub(crate) Arc<Relay>);

impl jackfield_engine::Relay for EngineRelay {
    fn new_sid(&self) -> Box<str> {
        self.0.key.load().sid(self.0.own.tag())
    }

    fn owner(&self, sid: &str) -> Owner {
        match self.0.key.load().tag(sid) {
            Some(tag) if tag == self.0.own.tag() => Owner::Own,
            Some(_) => Owner::Other,
            None => Owner::Nobody,
        }
    }

    fn pass_on(
        &self,
        transport: Transport,
        sid: Box<str>,
        request: Request<Body>,
    ) -> BoxFuture<'static, Response<Body>> {
        let relay = Arc::clone(&self.0);
        Box::pin(async move {
            let passed = match transport {
                Transport::Polling => {
                    metrics::PASSED_ON.add_for(["polling"], 1);
                    poll::pass_on(&relay, &sid, request).await
                }
                Transport::WebSocket => {
                    metrics::PASSED_ON.add_for(["websocket"], 1);
                    tunnel::pass_on(&relay, &sid, request).await
                }
            };
            passed.unwrap_or_else(|failed| {
                metrics::NOT_PASSED_ON.add_for([failed.name()], 1);
                tracing::debug!(reason = failed.name(), "a request could not be passed on to the node that it is for");
                unknown_session()
            })
        })
    }
}

impl Failed {
    fn name(self) -> &'static str {
        match self {
            Self::NotLive => "not_live",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timeout",
            Self::TooMany => "too_many",
        }
    }
}
