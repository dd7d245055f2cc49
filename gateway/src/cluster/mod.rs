//! Everything that the nodes of a cluster share, each part behind a small port: [`bus`], [`log`], [`sessions`],
//! [`presence`], [`room_presence`], [`membership`], [`inbox`], [`idempotency`].
//!
//! A port states its guarantee in `x.rs`; `x_memory.rs` implements it for several nodes of one process, `x_redis.rs`
//! over Redis, and one contract-test suite runs against both. Nothing here depends on sockets, or on events other than
//! a [`notification`]'s.

pub mod bus;
mod bus_memory;
mod bus_redis;
pub mod carried;
pub mod idempotency;
mod idempotency_memory;
mod idempotency_redis;
pub mod ids;
pub mod inbox;
mod inbox_memory;
mod inbox_redis;
pub mod log;
mod log_memory;
mod log_redis;
pub mod membership;
mod membership_memory;
mod membership_redis;
pub mod notice;
pub mod notification;
pub mod patience;
pub mod presence;
mod presence_memory;
mod presence_redis;
mod redis_connector;
mod redis_keys;
mod redis_link;
mod redis_pool;
mod redis_shared;
mod redis_target;
mod reminders;
pub mod room_name;
pub mod room_presence;
mod room_presence_memory;
mod room_presence_redis;
pub mod sessions;
mod sessions_memory;
mod sessions_redis;

use std::{sync::Arc, time::Duration};

use jackfield_shared::lifecycle::Lifecycle;
use tokio::sync::mpsc;

use self::{
    bus::{Bus, BusEvent},
    idempotency::Idempotency,
    ids::NodeId,
    inbox::{Inbox, Keep},
    log::Log,
    membership::Membership,
    presence::Presence,
    room_presence::RoomPresence,
    sessions::Sessions,
};
pub use self::{
    bus_memory::MemoryNetwork,
    idempotency_memory::MemoryIdempotency,
    inbox_memory::MemoryInbox,
    log_memory::MemoryLog,
    membership_memory::MemoryMembership,
    patience::PATIENCE,
    presence_memory::MemoryPresence,
    redis_link::RedisLink,
    redis_target::{RedisAccess, RedisTarget},
    room_presence_memory::MemoryRoomPresence,
    sessions_memory::MemorySessions,
};

/// The back end did not answer in time, refused or failed. The operation may or may not have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cluster's back end does not answer")]
pub struct Unavailable;

/// How long leases and absences last, and the limits on announcements and notifications.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// A node that does not renew for this long is dead.
    pub lease: Duration,
    /// A user may be away for this long before being announced offline.
    pub grace: Duration,
    /// A room with more members than this receives no join and leave announcements.
    pub announce_max: usize,
    /// The limits on a user's stored notifications.
    pub notifications: Keep,
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
    /// Users' sessions and the nodes that hold them.
    pub sessions: Sessions,
    /// Rooms' stored messages.
    pub log: Log,
    /// The users that are online.
    pub presence: Presence,
    /// The users in each room.
    pub room_presence: RoomPresence,
    /// The live nodes.
    pub membership: Membership,
    /// Users' notifications.
    pub inbox: Inbox,
    /// Idempotency keys of operations.
    pub idempotency: Idempotency,
}

/// A cluster within one process: all its nodes share one, or clones of it.
#[derive(Clone)]
pub struct MemoryCluster {
    network: MemoryNetwork,
    sessions: MemorySessions,
    log: MemoryLog,
    presence: MemoryPresence,
    room_presence: MemoryRoomPresence,
    membership: MemoryMembership,
    inbox: MemoryInbox,
    idempotency: MemoryIdempotency,
}

impl MemoryCluster {
    /// A cluster without nodes.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let network = MemoryNetwork::default();
        let sessions = MemorySessions::new(network.clone());
        Self {
            inbox: MemoryInbox::new(network.clone(), sessions.clone(), terms.notifications),
            sessions,
            log: MemoryLog::new(network.clone()),
            presence: MemoryPresence::new(network.clone(), terms.grace),
            room_presence: MemoryRoomPresence::new(network.clone(), terms.grace, terms.announce_max),
            membership: MemoryMembership::new(terms.lease),
            idempotency: MemoryIdempotency::default(),
            network,
        }
    }

    /// The ports of one more node, and the events of its bus.
    #[must_use]
    pub fn join(&self) -> (Cluster, mpsc::Receiver<BusEvent>) {
        let (bus, events) = self.network.join();
        let cluster = Cluster {
            bus: Bus::Memory(bus),
            sessions: Sessions::Memory(self.sessions.clone()),
            log: Log::Memory(self.log.clone()),
            presence: Presence::Memory(self.presence.clone()),
            room_presence: RoomPresence::Memory(self.room_presence.clone()),
            membership: Membership::Memory(self.membership.clone()),
            inbox: Inbox::Memory(self.inbox.clone()),
            idempotency: Idempotency::Memory(self.idempotency.clone()),
        };
        (cluster, events)
    }
}

/// The ports of a node over Redis, and the events of its bus. Does not wait for Redis to answer.
#[must_use]
pub fn over_redis(
    target: RedisTarget,
    prefix: &str,
    node: &NodeId,
    terms: Terms,
    lifecycle: &Lifecycle,
) -> (Cluster, mpsc::Receiver<BusEvent>) {
    let link = Arc::new(RedisLink::new(target, prefix, lifecycle));
    let (bus, events) = bus_redis::RedisBus::start(Arc::clone(&link), node, lifecycle);
    let cluster = Cluster {
        bus: Bus::Redis(bus),
        sessions: Sessions::Redis(sessions_redis::RedisSessions::new(Arc::clone(&link))),
        log: Log::Redis(log_redis::RedisLog::new(Arc::clone(&link))),
        presence: Presence::Redis(presence_redis::RedisPresence::new(Arc::clone(&link), terms.grace)),
        room_presence: RoomPresence::Redis(room_presence_redis::RedisRoomPresence::new(
            Arc::clone(&link),
            terms.grace,
            terms.announce_max,
        )),
        membership: Membership::Redis(membership_redis::RedisMembership::new(Arc::clone(&link), terms.lease)),
        idempotency: Idempotency::Redis(idempotency_redis::RedisIdempotency::new(Arc::clone(&link))),
        inbox: Inbox::Redis(inbox_redis::RedisInbox::new(link, terms.notifications)),
    };
    (cluster, events)
}
