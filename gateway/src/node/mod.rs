//! One node of the cluster: joins the hub, the ports and the connections, and runs the work in the background.
//!
//! - [`heartbeat`]: the lease, its loss and what is then said again, and clearing up after dead nodes
//! - [`listen`]: what comes over the bus · [`departures`]: sessions given back · [`roster`]: the list of sockets
//! - [`counts`]: sessions that are told what is unread · [`drain`]: the way out · [`idle`]: connections that joined nothing
//! - [`expiry`]: tokens that run out · [`readiness`]: whether the node can take clients, and why not

mod census;
mod connections;
mod counts;
mod departures;
mod drain;
mod ebb;
mod expiry;
mod gate;
mod heartbeat;
mod idle;
mod listen;
pub mod readiness;
mod report;
mod roster;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};
use jackfield_shared::{lifecycle::Lifecycle, verify::Verifier};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub use self::{
    census::Census,
    connections::Connections,
    counts::Counts,
    departures::Departures,
    expiry::Expiry,
    gate::{Gate, Obstacle},
    idle::Idle,
    readiness::Readiness,
    report::Report,
    roster::Roster,
};
use crate::{
    api::ApiKeys,
    client::Client,
    cluster::{
        Cluster,
        bus::BusEvent,
        ids::{Incarnation, IndexEntry, NodeId},
        membership::Remembered,
        sessions::Policy,
    },
    feed::Feeds,
    hub::{Hub, Namespace},
    room::{Rooms, rules::Rules},
    settings::GatewaySettings,
};

/// The namespace in which everybody sees who is there.
pub const MAIN: &str = "/";
/// The namespaces of every node.
pub const NAMESPACES: [&str; 2] = [MAIN, "/chat"];

/// See the module.
pub struct Node {
    /// From the process's start to its end.
    pub id: NodeId,
    /// When the process began to be one.
    pub started_at: DateTime<Utc>,
    /// As configured.
    pub settings: GatewaySettings,
    /// How many sessions a user may have.
    pub policy: Policy,
    /// Namespaces and their members on this node.
    pub hub: Hub,
    /// What is shared with other nodes.
    pub cluster: Cluster,
    /// Whose tokens are accepted.
    pub verifier: Arc<Verifier>,
    /// Background work and its end.
    pub lifecycle: Lifecycle,
    /// Connections that are sessions or are about to be.
    pub connections: Connections,
    /// Connections that read feeds.
    pub readers: Connections,
    /// Rooms that have members here.
    pub rooms: Rooms,
    /// Who may join which room, and send to it.
    pub rules: Rules,
    /// The feeds that may be read here.
    pub feeds: Feeds,
    /// Backends that may call.
    pub api_keys: ApiKeys,
    /// Connections that are in no namespace.
    pub idle: Idle,
    /// Sessions whose token runs out.
    pub expiry: Expiry,
    /// Sessions that are to be told what is unread.
    pub counts: Counts,
    /// Sessions to be given back.
    pub departures: Departures,
    /// Who is in [`MAIN`] in the whole cluster.
    pub roster: Roster,
    /// Who may connect, and what each user may do.
    pub gate: Gate,
    /// Whether clients can be taken.
    pub readiness: Readiness,
    incarnation: ArcSwapOption<Incarnation>,
    reassert: Notify,
    reassert_wanted: AtomicBool,
    /// Since when the back end remembers, as far as this node knows.
    remembered: Mutex<Option<Remembered>>,
    /// The back end has lost what this node told it, and was not told again yet.
    forgotten: AtomicBool,
    /// How often messages from other nodes may have been missed.
    missed: AtomicU64,
}

/// What of the settings is text with a meaning of its own, read.
pub struct Policies {
    /// How many sessions a user may have.
    pub sessions: Policy,
    /// Who may join which room, and send to it.
    pub rooms: Rules,
    /// Which feeds there are.
    pub feeds: Feeds,
    /// Which backends may call.
    pub api_keys: ApiKeys,
}

impl Node {
    /// A node that does nothing yet: see [`Node::start`].
    #[must_use]
    pub fn new(
        id: NodeId,
        settings: GatewaySettings,
        policies: Policies,
        cluster: Cluster,
        verifier: Arc<Verifier>,
        lifecycle: Lifecycle,
    ) -> Arc<Self> {
        Arc::new(Self {
            roster: Roster::new(&id, settings.roster.max as usize),
            idle: Idle::new(settings.limits.connect_timeout),
            gate: Gate::new(&settings.limits),
            id,
            started_at: Utc::now(),
            settings,
            policy: policies.sessions,
            hub: Hub::new(&NAMESPACES),
            cluster,
            verifier,
            lifecycle,
            connections: Connections::default(),
            readers: Connections::default(),
            rooms: Rooms::default(),
            rules: policies.rooms,
            feeds: policies.feeds,
            api_keys: policies.api_keys,
            expiry: Expiry::default(),
            counts: Counts::default(),
            departures: Departures::default(),
            readiness: Readiness::default(),
            incarnation: ArcSwapOption::empty(),
            reassert: Notify::new(),
            reassert_wanted: AtomicBool::new(false),
            remembered: Mutex::default(),
            forgotten: AtomicBool::new(false),
            missed: AtomicU64::new(0),
        })
    }

    /// Starts everything that runs in the background, until the lifecycle ends. When the lifecycle is leaving, the node is
    /// drained, and then stops it.
    pub fn start(self: &Arc<Self>, events: mpsc::Receiver<BusEvent>) {
        let tasks = &self.lifecycle;
        tasks.spawn(listen::listen(Arc::clone(self), events));
        let heart = tasks.spawn(heartbeat::heartbeat(Arc::clone(self)));
        tasks.spawn(heartbeat::settle(Arc::clone(self)));
        tasks.spawn(departures::give_back(Arc::clone(self), heart));
        tasks.spawn(drain::drain(Arc::clone(self)));
        tasks.spawn(counts::keep_told(Arc::clone(self)));
        self.feeds.start(self);
        tasks.spawn(roster::keep_current(Arc::clone(self)));
        tasks.spawn(idle::sweep(Arc::clone(self)));
        tasks.spawn(expiry::sweep(Arc::clone(self)));
        tasks.spawn(ebb::give_back_memory(Arc::clone(self)));
        tasks.spawn(Arc::clone(&self.verifier).keep_fresh(tasks.stopping()));
    }

    /// The lease that this node holds, as far as it knows.
    #[must_use]
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation.load().as_deref().cloned()
    }

    /// Asks for everything that this node holds to be said again in the cluster.
    pub fn reassert_soon(&self) {
        self.reassert_wanted.store(true, Ordering::Release);
        self.reassert.notify_one();
    }

    /// Grows whenever messages from other nodes may have been missed.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Acquire)
    }

    /// Messages from other nodes may have been missed: rooms read their logs, and everything is said again.
    fn may_have_missed(&self) {
        self.missed.fetch_add(1, Ordering::AcqRel);
        self.rooms.missed();
        self.feeds.missed();
        self.reassert_soon();
    }

    /// A socket is out of its namespace.
    pub fn remove_member(&self, client: &Client) {
        let key = client.key();
        let incarnation = self.incarnation();
        for stay in client.take_rooms() {
            self.rooms.leave_soon(self, &stay.room, Arc::clone(&client.id));
            if let Some(incarnation) = &incarnation {
                self.departures.push(IndexEntry::Room(stay), incarnation.clone());
            }
        }
        // Before the place is free for another.
        if &*client.namespace.name == MAIN {
            self.hub.watchers.forget(key);
        }
        if client.namespace.leave(key).is_some() {
            self.roster_changed(&client.namespace);
        }
    }

    /// Bytes of the longest name of a namespace or feed.
    #[must_use]
    pub fn longest_namespace(&self) -> usize {
        let namespaces = self.hub.namespaces().map(|namespace| namespace.name.len());
        namespaces.chain(self.feeds.all().map(|feed| feed.namespace.len())).max().unwrap_or_default()
    }

    /// The list of sockets may have changed.
    pub fn roster_changed(&self, namespace: &Namespace) {
        if &*namespace.name == MAIN {
            self.roster.changed();
        }
    }
}
