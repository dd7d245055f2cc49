//! Everything that the nodes of a cluster share, each part behind a small port.
//!
//! One folder per port: `mod.rs` states the guarantees, `memory.rs` implements them for several nodes of one process,
//! `redis.rs` over Redis with its scripts beside it, and one contract-test suite runs against both. [`bus`]: messages
//! between nodes · [`log`]: rooms' stored messages · [`connects`]: clients' connects · [`sessions`]: users' sessions
//! and the nodes that hold them · [`user_log`]: events for one user · [`presence`]: users that are online, and in rooms
//! · [`recovery`]: records of clients that come back · [`membership`]: the live nodes · [`inbox`]: notifications ·
//! [`revocations`]: revoked tokens · [`idempotency`]: operations that run once · [`facts`]: what happened, for backends.
//! Besides the ports, [`partition`] says what is kept together, [`wire`] is the messages' encoding, [`once`] makes an emission happen once, and [`deadline`] limits
//! every wait.
//!
//! Deliberately knows no sockets, no client events and none of their JSON.

pub mod bus;
pub mod connects;
pub mod deadline;
pub mod facts;
mod forward;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod idempotency;
pub mod ids;
pub mod inbox;
pub mod log;
pub mod membership;
pub mod metrics;
pub mod once;
pub mod partition;
pub mod presence;
pub mod recovery;
mod redis;
pub mod revocations;
pub mod room_name;
pub mod sessions;
pub mod user_log;
pub mod wire;

use std::{sync::Arc, time::Duration};

use jackfield_shared::lifecycle::Lifecycle;

use self::{
    bus::memory::MemoryNetwork, idempotency::memory::MemoryIdempotency, inbox::memory::MemoryInbox,
    log::memory::MemoryLog, membership::memory::MemoryMembership, presence::memory::MemoryPresence,
    redis::link::RedisLink, redis::streams::Streams, sessions::memory::MemorySessions, user_log::memory::MemoryUserLog,
};
use self::{
    bus::{Bus, BusEvents},
    connects::{Connects, memory::MemoryConnects, redis::RedisConnects},
    facts::{FactTerms, Facts, memory::MemoryFacts, redis::RedisFacts},
    idempotency::Idempotency,
    ids::NodeId,
    inbox::{Inbox, Keep},
    log::Log,
    membership::Membership,
    presence::{Presence, PresenceTerms},
    recovery::{Recovery, memory::MemoryRecovery},
    revocations::{Revocations, memory::MemoryRevocations, redis::RedisRevocations},
    sessions::Sessions,
    user_log::UserLog,
};
pub use self::{
    deadline::TIMEOUT,
    redis::{
        settings::RedisSettings,
        target::{RedisTarget, RedisTopology},
    },
};

/// The back end did not answer in time, refused or failed. The operation may or may not have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cluster's back end (Redis) does not answer")]
pub struct Unavailable;

/// The duration of leases and of the grace, and the limits on announcements and notifications.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A node that does not renew its lease for this long is dead.
    pub lease: Duration,
    /// A user whose last session ended is announced offline after this time.
    pub grace: Duration,
    /// In rooms with more members than this, nobody is announced.
    pub announce_max: usize,
    /// The limits on a user's stored notifications.
    pub notifications: Keep,
    /// How long an event for one user is kept.
    pub user_events: Duration,
    /// How long the record of an ended session is kept.
    pub recovery: Duration,
    /// The facts that are recorded, and how long they are kept.
    pub facts: FactTerms,
}

impl Terms {
    fn presence(&self) -> PresenceTerms {
        PresenceTerms { grace: self.grace, announce_max: self.announce_max }
    }
}

/// Microseconds since the Unix epoch, by this machine's clock.
fn now_micros() -> u64 {
    u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0)
}

/// All ports of one node.
#[derive(Clone)]
pub struct Cluster {
    /// Messages between nodes.
    pub bus: Bus,
    /// Clients' connects.
    pub connects: Connects,
    /// Users' sessions and the nodes that hold them.
    pub sessions: Sessions,
    /// Rooms' stored messages.
    pub log: Log,
    /// The users that are online, and in each room.
    pub presence: Presence,
    /// The live nodes.
    pub membership: Membership,
    /// Events for one user.
    pub user_log: UserLog,
    /// Records of clients that can be recovered.
    pub recovery: Recovery,
    /// Users' notifications.
    pub inbox: Inbox,
    /// Revoked tokens.
    pub revocations: Revocations,
    /// Idempotency keys of operations.
    pub idempotency: Idempotency,
    /// Facts for backends.
    pub facts: Facts,
}

/// A cluster within one process. Clones are the same cluster.
#[derive(Clone)]
pub struct MemoryCluster {
    network: MemoryNetwork,
    connects: Connects,
    sessions: Sessions,
    log: Log,
    presence: Presence,
    membership: Membership,
    user_log: UserLog,
    recovery: Recovery,
    inbox: Inbox,
    revocations: Revocations,
    idempotency: Idempotency,
    facts: Facts,
}

impl MemoryCluster {
    /// A cluster without nodes.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let network = MemoryNetwork::default();
        let facts = MemoryFacts::new(terms.facts);
        let log = MemoryLog::new(network.clone(), facts.clone());
        let sessions =
            MemorySessions::new(network.clone(), log.empty, terms.user_events, terms.recovery, facts.clone());
        let presence = MemoryPresence::new(network.clone(), terms.presence(), facts.clone());
        let membership = MemoryMembership::new(terms.lease);
        let inbox = MemoryInbox::new(network.clone(), sessions.clone(), terms.notifications);
        Self {
            log: Log::Memory(log),
            facts: Facts::Memory(facts),
            recovery: Recovery::Memory(MemoryRecovery::new(sessions.clone())),
            user_log: UserLog::Memory(MemoryUserLog::new(sessions.clone())),
            idempotency: Idempotency::Memory(MemoryIdempotency::default()),
            revocations: Revocations::Memory(MemoryRevocations::new(network.clone())),
            network,
            membership: Membership::Memory(membership.clone()),
            sessions: Sessions::Memory(sessions.clone()),
            presence: Presence::Memory(presence.clone()),
            inbox: Inbox::Memory(inbox.clone()),
            connects: Connects::Memory(Box::new(MemoryConnects { membership, sessions, presence, inbox })),
        }
    }

    /// Adds a node. Returns its ports, and the events of its bus.
    #[must_use]
    pub fn join(&self) -> (Cluster, BusEvents) {
        let (bus, events) = self.network.join();
        let cluster = Cluster {
            bus: Bus::Memory(bus),
            connects: self.connects.clone(),
            sessions: self.sessions.clone(),
            log: self.log.clone(),
            presence: self.presence.clone(),
            membership: self.membership.clone(),
            user_log: self.user_log.clone(),
            recovery: self.recovery.clone(),
            inbox: self.inbox.clone(),
            revocations: self.revocations.clone(),
            idempotency: self.idempotency.clone(),
            facts: self.facts.clone(),
        };
        (cluster, events)
    }
}

/// The ports of a node over Redis, and the events of its bus. Does not wait for Redis to answer.
#[must_use]
pub fn over_redis(
    topology: RedisTopology,
    prefix: &str,
    node: &NodeId,
    terms: Terms,
    lifecycle: &Lifecycle,
) -> (Cluster, BusEvents) {
    let link = Arc::new(RedisLink::new(topology, prefix, lifecycle));
    let (bus, events) = bus::redis::RedisBus::start(Arc::clone(&link), node, lifecycle);
    let (notifications, kept_for) = (terms.notifications, terms.user_events);
    let streams = Streams::new(Arc::clone(&link));
    let cluster = Cluster {
        bus: Bus::Redis(bus),
        connects: Connects::Redis(RedisConnects::start(
            Arc::clone(&link),
            streams.clone(),
            notifications,
            kept_for,
            &terms.facts,
            lifecycle,
        )),
        sessions: Sessions::Redis(sessions::redis::RedisSessions::new(
            Arc::clone(&link),
            streams.clone(),
            terms.recovery,
            &terms.facts,
        )),
        recovery: Recovery::Redis(recovery::redis::RedisRecovery::new(Arc::clone(&link))),
        log: Log::Redis(log::redis::RedisLog::new(Arc::clone(&link), streams.clone(), &terms.facts)),
        presence: Presence::Redis(presence::redis::RedisPresence::new(
            Arc::clone(&link),
            terms.presence(),
            &terms.facts,
        )),
        facts: Facts::Redis(RedisFacts::new(Arc::clone(&link), terms.facts)),
        membership: Membership::Redis(membership::redis::RedisMembership::new(Arc::clone(&link), terms.lease)),
        idempotency: Idempotency::Redis(idempotency::redis::RedisIdempotency::new(Arc::clone(&link))),
        user_log: UserLog::Redis(user_log::redis::RedisUserLog::new(Arc::clone(&link), streams, kept_for)),
        revocations: Revocations::Redis(RedisRevocations::new(Arc::clone(&link))),
        inbox: Inbox::Redis(inbox::redis::RedisInbox::new(link, notifications, kept_for)),
    };
    (cluster, events)
}

/// The list of revocations in Redis, for a service that is no node. Does not wait for Redis to answer.
#[must_use]
pub fn revocations_over_redis(topology: RedisTopology, prefix: &str, lifecycle: &Lifecycle) -> Revocations {
    Revocations::Redis(RedisRevocations::new(Arc::new(RedisLink::new(topology, prefix, lifecycle))))
}
