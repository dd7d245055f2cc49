//! The nodes of a Redis Cluster, and the way to the master of each partition.
//!
//! A task asks the nodes for their map ([`super::view`]): at start, every [`EVERY`], and soon after an answer or a lost
//! connection that says that it is outdated, at most every [`AT_MOST_EVERY`]. The first node that says that the Cluster is
//! well is believed; a node that is cut off says that it is not. Partitions whose slot has no master stay with the server
//! that they had, so calls for them fail, and no others.
//!
//! Calls that a node redirects: see [`super::redirects`]. Deliberately not here: reading from replicas, and changing the
//! Cluster.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use redis::RedisResult;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    slots::SlotMap,
    view::{View, view},
};
use crate::{
    partition::{PARTITIONS, Partition, PartitionSet},
    redis::{
        connector::{failed, within},
        keys::Keys,
        report::Failing,
        routing::Routing,
        server::Server,
        target::{Address, RedisTarget},
    },
};

/// The map is asked for at least so often.
const EVERY: Duration = Duration::from_secs(30);
/// After a failure.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
const AT_MOST_EVERY: Duration = Duration::from_millis(250);
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
/// The most nodes that are asked for the map at the same time.
const ASKED: usize = 8;
/// The most servers: each partition could have its own, and another one that it moves to.
const SERVERS: usize = 256;
/// A server without partitions is kept for so long after its last use.
const UNUSED: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Cluster {
    /// Its login and TLS are those of all nodes.
    access: RedisTarget,
    keys: Keys,
    seeds: Box<[Arc<Server>]>,
    /// By address. The ones in `routing`, and those to which answers have led.
    servers: Mutex<HashMap<Address, Known>>,
    routing: watch::Sender<Arc<Routing>>,
    /// Whether there has been a map.
    is_mapped: watch::Sender<bool>,
    is_stale: Arc<Notify>,
    failing: Failing,
    lifecycle: Lifecycle,
}

struct Known {
    server: Arc<Server>,
    used: Instant,
}

impl Cluster {
    /// Begins to look for the map. `routing` sends everything to the first seed until there is one.
    pub(crate) fn start(
        seeds: &[RedisTarget],
        keys: &Keys,
        lifecycle: &Lifecycle,
    ) -> Option<(Arc<Self>, watch::Sender<Arc<Routing>>)> {
        let access = seeds.first()?.clone();
        let (mut servers, is_stale) = (HashMap::new(), Arc::new(Notify::new()));
        for seed in seeds {
            let server = Arc::new(Server::of_cluster(seed.clone(), keys, Arc::clone(&is_stale), lifecycle));
            servers.insert(seed.access().address.clone(), Known { server, used: Instant::now() });
        }
        let seeds: Box<[_]> = servers.values().map(|known| Arc::clone(&known.server)).collect();
        let first = &servers[&access.access().address].server;
        let routing = watch::Sender::new(Arc::new(Routing::of_cluster(|_| Arc::clone(first))));
        let cluster = Arc::new(Self {
            access,
            keys: keys.clone(),
            seeds,
            servers: Mutex::new(servers),
            routing: routing.clone(),
            is_mapped: watch::Sender::new(false),
            is_stale,
            failing: Failing::default(),
            lifecycle: lifecycle.clone(),
        });
        drop(lifecycle.spawn(Arc::clone(&cluster).keep(lifecycle.stopping())));
        Some((cluster, routing))
    }

    /// Waits until there has been a map: without one nobody knows whether this is a Cluster at all.
    pub(crate) async fn mapped(&self) {
        if !*self.is_mapped.borrow() {
            // It cannot fail: the sender is here.
            let _ = self.is_mapped.subscribe().wait_for(|is_mapped| *is_mapped).await;
        }
    }

    /// The server that has the partition now.
    pub(super) fn server(&self, partition: Partition) -> Arc<Server> {
        Arc::clone(self.routing.borrow().server(partition))
    }

    /// Something says that the map is outdated.
    pub(super) fn is_outdated(&self) {
        self.is_stale.notify_one();
    }

    /// Notes that a partition is there.
    pub(super) fn moved(&self, partition: Partition, address: &Address) -> RedisResult<Arc<Server>> {
        let server = self.server_at(address)?;
        self.routing.send_if_modified(|routing| {
            if Arc::ptr_eq(routing.server(partition), &server) {
                return false;
            }
            let before = Arc::clone(routing);
            let of = |other| Arc::clone(if other == partition { &server } else { before.server(other) });
            *routing = Arc::new(Routing::of_cluster(of));
            renew(&before, routing);
            true
        });
        self.is_stale.notify_one();
        Ok(server)
    }

    /// The server at an address that the Cluster named.
    pub(super) fn server_at(&self, address: &Address) -> RedisResult<Arc<Server>> {
        let Address::Tcp { host, port } = address else { return Err(failed("a node has a host and a port")) };
        let mut servers = self.servers.lock();
        if let Some(known) = servers.get_mut(address) {
            known.used = Instant::now();
            return Ok(Arc::clone(&known.server));
        }
        if servers.len() >= SERVERS {
            return Err(failed("the Redis Cluster has named too many servers"));
        }
        let target = self.access.at(host, *port);
        let server = Arc::new(Server::of_cluster(target, &self.keys, Arc::clone(&self.is_stale), &self.lifecycle));
        servers.insert(address.clone(), Known { server: Arc::clone(&server), used: Instant::now() });
        Ok(server)
    }

    async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        let keeping = async {
            loop {
                let began = tokio::time::Instant::now();
                let pause = if self.refresh().await { EVERY } else { AGAIN_AFTER };
                tokio::select! {
                    () = sleep(pause) => {}
                    () = self.is_stale.notified() => {}
                }
                sleep_until(began + AT_MOST_EVERY).await;
            }
        };
        stopping.run_until_cancelled(keeping).await;
    }

    /// Asks for the map. False if no node has one.
    async fn refresh(&self) -> bool {
        let (best, problems) = self.view().await;
        let Some(View { is_well, map }) = best else {
            self.report(&format!("no node of the Redis Cluster has a map of its slots: {problems}"));
            return false;
        };
        let missing = match self.apply(&map) {
            Ok(missing) => missing,
            Err(error) => {
                self.report(&error.to_string());
                return false;
            }
        };
        if missing.is_empty() && is_well {
            if self.failing.ended() {
                tracing::info!("the Redis Cluster is well");
            }
        } else {
            let mut reasons = Vec::new();
            if !is_well {
                reasons.push("its nodes say that it is down (CLUSTER INFO)".to_owned());
            }
            if !missing.is_empty() {
                reasons.push(format!("{} of {PARTITIONS} partitions have no master", missing.len()));
            }
            reasons.extend((!problems.is_empty()).then(|| format!("away: {problems}")));
            self.report(&reasons.join("; "));
        }
        true
    }

    fn report(&self, reason: &str) {
        if self.failing.is_due(reason) {
            tracing::warn!(error = reason, "the Redis Cluster is not well");
        }
    }

    /// The map of a node that says that the Cluster is well, or else of any node; and the nodes that do not answer.
    async fn view(&self) -> (Option<View>, String) {
        let mut asked: Vec<Arc<Server>> = self.seeds.to_vec();
        for server in &self.routing.borrow().servers {
            if !asked.iter().any(|other| Arc::ptr_eq(other, server)) {
                asked.push(Arc::clone(server));
            }
        }
        // Others each time, if there are many.
        let skip = rand::random_range(0..asked.len().max(1));
        asked.rotate_left(skip);
        let view = |server: Arc<Server>| async move {
            let view = within(ASK_TIMEOUT, view(&server)).await;
            view.map_err(|error| format!("{}: {error}", server.name))
        };
        let mut views: FuturesUnordered<_> = asked.into_iter().take(ASKED).map(view).collect();
        let (mut best, mut problems) = (None, Vec::new());
        while let Some(view) = views.next().await {
            match view {
                Ok(view @ View { is_well: true, .. }) => return (Some(view), String::new()),
                Ok(view) => best = best.or(Some(view)),
                Err(problem) => problems.push(problem),
            }
        }
        problems.sort();
        (best, problems.join("; "))
    }

    /// Routes by this map. Returns the partitions that have no master in it.
    fn apply(&self, map: &SlotMap) -> RedisResult<PartitionSet> {
        let before = Arc::clone(&self.routing.borrow());
        let (mut servers, mut missing) = (Vec::new(), PartitionSet::default());
        for partition in Partition::all() {
            servers.push(match map.of(partition.slot()) {
                Some(address) => self.server_at(address)?,
                None => {
                    missing.insert(partition);
                    Arc::clone(before.server(partition))
                }
            });
        }
        let is_same = Partition::all().zip(&servers).all(|(one, server)| Arc::ptr_eq(before.server(one), server));
        if !is_same {
            let routing = Routing::of_cluster(|one| Arc::clone(&servers[one.index()]));
            renew(&before, &routing);
            self.routing.send_replace(Arc::new(routing));
        }
        self.is_mapped.send_if_modified(|is_mapped| !std::mem::replace(is_mapped, true));
        self.servers.lock().retain(|_, known| {
            let is_one = |server: &Arc<Server>| Arc::ptr_eq(server, &known.server);
            servers.iter().any(is_one) || self.seeds.iter().any(is_one) || known.used.elapsed() < UNUSED
        });
        Ok(missing)
    }
}

/// Servers that had no partitions are masters now: their connections may have begun in another term.
fn renew(before: &Routing, after: &Routing) {
    let had_none = |server: &&Arc<Server>| !before.servers.iter().any(|other| Arc::ptr_eq(other, server));
    after.servers.iter().filter(had_none).for_each(|server| server.renew());
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
