//! The state that all connections of a node share.
//!
//! Events and background work are layers above: they use this state, and nothing here calls them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jackfield_cluster::{
    Cluster,
    ids::{NodeId, SessionId, SessionKey},
    log::Durability,
    partition::PartitionSet,
    presence::Scope,
    sessions::Policy,
};
use jackfield_shared::{lifecycle::Lifecycle, verify::Verifier};

use super::{
    Client, Connection, Dispatch, Subscriber,
    acks::Acks,
    asks::Asks,
    registry::{
        Behind, ConnectionLimiter, Connections, Expiry, Idle, Lease, Readiness, ReadinessFlags, ReleaseQueue, Roster,
        SocketData, Turnstile, UnreadNotifier,
    },
};
use crate::{
    feed::{Feeds, rule::Rule},
    hook::Hooks,
    hub::{Namespace, Namespaces, Watchers},
    relay::Relay,
    revocation::Revocations,
    room::{Rooms, rules::Rules},
    settings::GatewaySettings,
};

/// The namespace whose members get the roster and users' presence.
pub(crate) const MAIN: &str = "/";
/// The namespaces of every node.
pub(crate) const NAMESPACES: [&str; 2] = [MAIN, "/chat"];

/// See the module.
pub(crate) struct Shared {
    /// The node's id, the same for the whole life of the process.
    pub(crate) id: NodeId,
    pub(crate) started_at: DateTime<Utc>,
    /// As configured.
    pub(crate) settings: GatewaySettings,
    /// How many sessions a user may have.
    pub(crate) policy: Policy,
    /// The roles that may join a room, and send to it.
    pub(crate) rules: Rules,
    /// The state shared with other nodes.
    pub(crate) cluster: Cluster,
    pub(crate) verifier: Arc<Verifier>,
    /// Backends that answer events, decide who connects, and get facts.
    pub(crate) hooks: Arc<Hooks>,
    /// Background work and its end.
    pub(crate) lifecycle: Lifecycle,
    /// Handles the events of all sockets.
    pub(super) dispatch: Box<dyn Dispatch>,

    pub(crate) namespaces: Namespaces<Client>,
    /// The users whose presence the members of [`MAIN`] watch.
    pub(crate) watchers: Watchers<Client>,
    pub(crate) rooms: Rooms<Client>,
    pub(crate) feeds: Feeds<Subscriber>,

    /// Connections that have a session or are about to get one.
    pub(crate) connections: Connections<Connection>,
    /// Connections that subscribed to feeds.
    pub(crate) subscribed: Connections<Connection>,
    /// Connections that are in no namespace.
    pub(crate) idle: Idle<Connection>,
    /// Connections whose tokens must be checked soon.
    pub(crate) expiry: Expiry,
    /// Tokens that are refused although they are valid.
    pub(crate) revocations: Revocations,
    /// Sessions that miss events for their user.
    pub(crate) behind: Behind,
    /// Sessions that wait for their unread count.
    pub(crate) unread: UnreadNotifier,
    /// Sessions and stays that wait to be released.
    pub(crate) releases: ReleaseQueue,
    /// The sockets in [`MAIN`] in the whole cluster.
    pub(crate) roster: Roster,
    /// Passes polls on to other nodes.
    pub(crate) relay: Arc<Relay>,
    /// The limits on connecting, and on each user.
    pub(crate) limiter: ConnectionLimiter,
    /// The data that hooks gave sockets when they connected.
    pub(super) socket_data: SocketData,
    /// The turns of clients that connect.
    pub(crate) connecting: Turnstile,
    /// The turns of sockets that join rooms.
    pub(crate) joining: Turnstile,
    /// The acknowledgements that sockets on this node owe to backends.
    pub(crate) acks: Acks,
    /// The backends' questions that wait on this node for acknowledgements.
    pub(crate) asks: Asks,
    /// Whether the node can take clients.
    pub(crate) readiness_flags: ReadinessFlags,
    /// The node's lease.
    pub(crate) lease: Lease,
}

/// The settings that are text with a syntax of their own, parsed.
pub(crate) struct Policies {
    /// How many sessions a user may have.
    pub(crate) sessions: Policy,
    /// The roles that may join a room, and send to it.
    pub(crate) rooms: Rules,
    /// The configured feeds.
    pub(crate) feeds: Vec<Rule>,
    /// The configured hooks.
    pub(crate) hooks: Arc<Hooks>,
}

impl Shared {
    pub(crate) fn new(
        id: NodeId,
        settings: GatewaySettings,
        policies: Policies,
        cluster: Cluster,
        verifier: Arc<Verifier>,
        lifecycle: Lifecycle,
        dispatch: Box<dyn Dispatch>,
    ) -> Arc<Self> {
        Arc::new(Self {
            roster: Roster::new(&id, settings.roster.max as usize),
            idle: Idle::new(settings.limits.connect_timeout),
            limiter: ConnectionLimiter::new(&settings.limits),
            relay: Relay::new(&id, &cluster.membership, &settings, &lifecycle),
            rooms: Rooms::new(cluster.bus.clone(), cluster.log.clone(), lifecycle.clone()),
            feeds: Feeds::new(policies.feeds, cluster.bus.clone(), cluster.log.clone().without_facts()),
            namespaces: Namespaces::new(&NAMESPACES),
            watchers: Watchers::default(),
            id,
            started_at: Utc::now(),
            settings,
            policy: policies.sessions,
            rules: policies.rooms,
            cluster,
            verifier,
            hooks: policies.hooks,
            lifecycle,
            dispatch,
            connections: Connections::default(),
            subscribed: Connections::default(),
            expiry: Expiry::default(),
            revocations: Revocations::default(),
            behind: Behind::default(),
            unread: UnreadNotifier::default(),
            releases: ReleaseQueue::default(),
            socket_data: SocketData::default(),
            connecting: Turnstile::default(),
            joining: Turnstile::default(),
            acks: Acks::default(),
            asks: Asks::default(),
            readiness_flags: ReadinessFlags::default(),
            lease: Lease::default(),
        })
    }

    /// The connection of this session, if it is on this node.
    pub(crate) fn connection(&self, session: &SessionId) -> Option<Arc<Connection>> {
        self.connections.find(SessionKey::of(session)?)
    }

    /// Whether this node may have sockets that rest on a token of this user.
    pub(crate) fn may_have(&self, user: &str) -> bool {
        self.connections.has(user) || self.subscribed.len() > 0
    }

    /// The bus may have lost messages in these partitions: their rooms and feeds read their logs, and the node re-registers
    /// the sessions of their users.
    pub(crate) fn on_bus_gap(&self, partitions: PartitionSet) {
        self.cluster.log.may_be_lost(partitions);
        self.lease.count_gap();
        self.rooms.missed(partitions);
        self.feeds.missed(partitions);
        self.lease.reassert_soon(partitions);
    }

    /// Removes a socket that has left its namespace from rooms, watchers and the roster.
    pub(crate) fn remove_client(&self, client: &Arc<Client>) {
        let incarnation = self.lease.incarnation();
        for stay in client.take_rooms() {
            if let Scope::Room(room) = &stay.scope {
                self.rooms.leave(room, client);
            }
            if let Some(incarnation) = &incarnation {
                self.releases.push(stay, incarnation.clone());
            }
        }
        self.watchers.forget(client);
        self.socket_data.remove(client.session, client.id);
        if client.namespace.members.leave(client) {
            self.roster_changed(&client.namespace);
        }
    }

    /// A socket joined or left this namespace: updates the roster if it is [`MAIN`].
    pub(crate) fn roster_changed(&self, namespace: &Namespace<Client>) {
        if &*namespace.name == MAIN {
            self.roster.changed();
        }
    }

    /// Bytes of the longest name of a namespace or feed.
    pub(crate) fn longest_namespace(&self) -> usize {
        let namespaces = self.namespaces.all().map(|namespace| namespace.name.len());
        namespaces.chain(self.feeds.all().map(|feed| feed.namespace.len())).max().unwrap_or_default()
    }

    /// The durabilities that rules want and that are not given by every back end.
    pub(crate) fn promised(&self) -> Vec<Durability> {
        let wanted = |durable: &Durability| {
            let of_feed = self.feeds.all().any(|feed| feed.rule.durable == *durable);
            of_feed || self.rules.with_durability(*durable).next().is_some()
        };
        Durability::BEYOND_MEMORY.into_iter().filter(wanted).collect()
    }

    /// Whether each part of the node is ready.
    pub(crate) fn readiness(&self) -> Readiness {
        Readiness {
            redis: self.readiness_flags.has_lease(),
            pub_sub: self.hears_a_server(),
            keys: self.verifier.ready(),
            staying: !self.is_draining(),
        }
    }

    /// Whether messages of other nodes arrive. Of several servers, one may be away: only what it has is unavailable.
    fn hears_a_server(&self) -> bool {
        let bus = &self.cluster.bus;
        bus.healthy() || bus.health().iter().any(|server| server.is_heard)
    }

    /// Whether the node is shutting down.
    pub(crate) fn is_draining(&self) -> bool {
        self.lifecycle.leaving().is_cancelled()
    }

    /// Whether new handshakes are refused, because the node drains and load balancers had time to take it out.
    pub(crate) fn refuses_handshakes(&self) -> bool {
        self.readiness_flags.refuses_handshakes() || self.lifecycle.stopping().is_cancelled()
    }
}
