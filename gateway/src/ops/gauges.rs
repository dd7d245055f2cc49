//! Gauges, sampled at scrape time.

use jackfield_cluster::log::Durability;

use super::unkept::unkept;
use jackfield_cluster::metrics::REDIS_SERVERS;

use crate::{
    metrics::{
        BUILD, CONNECTIONS, CONNECTIONS_LIMIT, HOOK_BREAKER_OPEN, HOOK_OPEN, PASSING_ON, READY, RELEASES_WAITING,
        REVOCATIONS, ROOMS, SESSIONS, SOCKETS, TURNSTILE_WAITING, UNKEPT,
    },
    session::Shared,
};

/// Samples the gauges of this node.
pub(crate) fn sample(shared: &Shared) {
    BUILD.set(1);
    let readiness = shared.readiness();
    for (part, good) in [
        ("redis", readiness.redis),
        ("pub_sub", readiness.pub_sub),
        ("keys", readiness.keys),
        ("staying", readiness.staying),
    ] {
        READY.set_for([part], usize::from(good));
    }
    let servers = shared.cluster.bus.health();
    let up = servers.iter().filter(|server| server.is_heard).count();
    for (state, count) in [("up", up), ("away", servers.len() - up)] {
        REDIS_SERVERS.set_for([state], count);
    }
    CONNECTIONS.set(shared.limiter.count());
    CONNECTIONS_LIMIT.set(shared.settings.limits.connections as usize);
    PASSING_ON.set(shared.relay.count());
    for namespace in shared.namespaces.all() {
        SOCKETS.set_configured(&namespace.name, namespace.members.len());
    }
    for feed in shared.feeds.all() {
        SOCKETS.set_configured(&feed.namespace, feed.subscribers.len());
    }
    for (name, turnstile) in [("connect", &shared.connecting), ("join", &shared.joining)] {
        TURNSTILE_WAITING.set_for([name], turnstile.waiting());
    }
    for hook in shared.hooks.all() {
        HOOK_OPEN.set_configured(&hook.name, hook.open());
        HOOK_BREAKER_OPEN.set_configured(&hook.name, usize::from(hook.is_breaker_open()));
    }
    let unkept = unkept(shared);
    for durable in Durability::BEYOND_MEMORY {
        let count = unkept.iter().filter(|unkept| unkept.is_of(durable)).count();
        UNKEPT.set_for([durable.as_str()], count);
    }
    SESSIONS.set(shared.connections.len());
    ROOMS.set(shared.rooms.len());
    REVOCATIONS.set(shared.revocations.len());
    RELEASES_WAITING.set(shared.releases.len());
}
