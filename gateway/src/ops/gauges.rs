//! Gauges, sampled at scrape time.

use crate::{
    metrics::{BUILD, CONNECTIONS, CONNECTIONS_LIMIT, DEPARTURES, READY, ROOMS, SESSIONS, SOCKETS},
    session::Shared,
};

/// Samples the gauges of this node.
pub(crate) fn sample(shared: &Shared) {
    BUILD.set(1);
    let parts = shared.parts();
    for (part, good) in
        [("redis", parts.redis), ("pub_sub", parts.pub_sub), ("keys", parts.keys), ("staying", parts.staying)]
    {
        READY.set_for([part], usize::from(good));
    }
    CONNECTIONS.set(shared.limiter.count());
    CONNECTIONS_LIMIT.set(shared.settings.limits.connections as usize);
    for namespace in shared.namespaces.all() {
        SOCKETS.set_configured(&namespace.name, namespace.members.len());
    }
    for feed in shared.feeds.all() {
        SOCKETS.set_configured(&feed.namespace, feed.subscribers.len());
    }
    SESSIONS.set(shared.connections.len());
    ROOMS.set(shared.rooms.len());
    DEPARTURES.set(shared.releases.len());
}
