//! One node of the cluster: joins the hub, the ports and the connections, and runs the background work.
//!
//! - [`heartbeat`]: the lease, re-registering after its loss, and clearing up after dead nodes
//! - [`listen`]: messages from the bus · [`departures`]: releasing sessions · [`roster`]: the list of sockets
//! - [`counts`]: unread counts for sessions · [`drain`]: the shutdown · [`idle`]: connections that joined nothing
//! - [`expiry`]: tokens that expire · [`readiness`]: whether the node can take clients, and why not

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

/// The namespace whose members get the roster and users' presence.
pub const MAIN: &str = "/";
/// The namespaces of every node.
pub const NAMESPACES: [&str; 2] = [MAIN, "/chat"];

/// See the module.
pub struct Node {
    /// The same from the process's start to its end.
    pub id: NodeId,
    /// When the node was created.
    pub started_at: DateTime<Utc>,
    /// As configured.
    pub settings: GatewaySettings,
    /// How many sessions a user may have.
    pub policy: Policy,
    /// Namespaces and their members on this node.
    pub hub: Hub,
    /// The state shared with other nodes.
    pub cluster: Cluster,
    /// Verifies tokens.
    pub verifier: Arc<Verifier>,
    /// Background work and its end.
    pub lifecycle: Lifecycle,
    /// Connections that have a session or are about to get one.
    pub connections: Connections,
    /// Connections that read feeds.
    pub readers: Connections,
    /// Rooms that have members here.
    pub rooms: Rooms,
    /// The roles that may join a room, and send to it.
    pub rules: Rules,
    /// The feeds that may be read here.
    pub feeds: Feeds,
    /// The keys of backends that may call.
    pub api_keys: ApiKeys,
    /// Connections that are in no namespace.
    pub idle: Idle,
    /// Sessions by the expiry of their token.
    pub expiry: Expiry,
    /// Sessions that wait for their unread count.
    pub counts: Counts,
    /// Sessions and stays that wait to be released.
    pub departures: Departures,
    /// The sockets in [`MAIN`] in the whole cluster.
    pub roster: Roster,
    /// The limits on connecting, and on each user.
    pub gate: Gate,
    /// Whether the node can take clients.
    pub readiness: Readiness,
    incarnation: ArcSwapOption<Incarnation>,
    reassert: Notify,
    reassert_wanted: AtomicBool,
    /// Since when the back end has kept its data, as far as this node knows.
    remembered: Mutex<Option<Remembered>>,
    /// The back end has lost this node's entries, and the node has not re-registered them yet.
    forgotten: AtomicBool,
    /// How often messages from other nodes may have been missed.
    missed: AtomicU64,
}

/// The settings that are text with a meaning of its own, parsed.
pub struct Policies {
    /// How many sessions a user may have.
    pub sessions: Policy,
    /// The roles that may join a room, and send to it.
    pub rooms: Rules,
    /// The configured feeds.
    pub feeds: Feeds,
    /// The keys of backends that may call.
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

    /// Starts all background work, until the lifecycle ends. When the lifecycle is leaving, the node drains, and then
    /// stops it.
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

    /// Requests that the node re-registers everything it holds in the cluster.
    pub fn reassert_soon(&self) {
        self.reassert_wanted.store(true, Ordering::Release);
        self.reassert.notify_one();
    }

    /// Grows whenever messages from other nodes may have been missed.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Acquire)
    }

    /// Messages from other nodes may have been missed: rooms and feeds read their logs, and the node re-registers.
    fn on_bus_gap(&self) {
        self.missed.fetch_add(1, Ordering::AcqRel);
        self.rooms.missed();
        self.feeds.missed();
        self.reassert_soon();
    }

    /// Removes a socket that is out of its namespace.
    pub fn remove_member(&self, client: &Client) {
        let key = client.key();
        let incarnation = self.incarnation();
        for stay in client.take_rooms() {
            self.rooms.leave_soon(self, &stay.room, Arc::clone(&client.id));
            if let Some(incarnation) = &incarnation {
                self.departures.push(IndexEntry::Room(stay), incarnation.clone());
            }
        }
        // Before the key is free for another socket.
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
