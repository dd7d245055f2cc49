//! Shares the partitions of the log of facts among the nodes, and runs the deliveries of this node's.
//!
//! Every node takes its fair share of leases and renews them with its heartbeat's period; a node that dies loses its
//! partitions once their leases are over. One task, which also looks where the partitions end.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use jackfield_cluster::{
    TIMEOUT,
    facts::{Facts, Tip},
    ids::Incarnation,
    membership::Membership,
    partition::{Partition, PartitionSet},
};
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    deliver::{Delivery, Held, Known, Target},
    figures::Figures,
    share::{Plan, candidates, plan},
};
use crate::{hook::Hook, metrics, session::Shared};

/// Time between two looks at the ends of the partitions.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Delivers facts until the lifecycle stops. Ends at once if no hook wants any.
pub(crate) async fn run(shared: Arc<Shared>) {
    let target = |(index, hook): (usize, &Arc<Hook>)| {
        let (hook, delivered) = (Arc::clone(hook), watch::Sender::new(0));
        Arc::new(Target { index, delivered, figures: Figures::new(&hook.name), hook })
    };
    let targets: Vec<_> = shared.hooks.with_facts().enumerate().map(target).collect();
    if targets.is_empty() {
        return;
    }
    let (facts, lifecycle) = (shared.cluster.facts.clone(), shared.lifecycle.clone());
    let membership = shared.cluster.membership.clone();
    let term = membership.term();
    let mut own = Own { facts, membership, lifecycle, nodes: 1, targets, term, by: None, of: BTreeMap::new() };
    let stopping = shared.lifecycle.stopping();
    let (mut beats, mut looks) = (interval(own.term * 3 / 10), interval(LOOK_EVERY));
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            _ = beats.tick() => own.beat(shared.lease.incarnation()).await,
            _ = looks.tick() => own.look().await,
        }
    }
    own.leave().await;
}

/// The partitions that this node holds.
struct Own {
    facts: Facts,
    membership: Membership,
    lifecycle: Lifecycle,
    /// How many nodes share the partitions, as far as this one knows.
    nodes: usize,
    targets: Vec<Arc<Target>>,
    /// Of a lease.
    term: Duration,
    /// The incarnation that holds them.
    by: Option<Incarnation>,
    of: BTreeMap<Partition, One>,
}

/// A partition with its deliveries.
struct One {
    held: Arc<Held>,
    tips: watch::Sender<Option<Known>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Own {
    /// Renews the leases, and takes or gives up some.
    async fn beat(&mut self, incarnation: Option<Incarnation>) {
        if self.by != incarnation {
            self.leave().await;
            self.by = incarnation;
        }
        let Some(by) = self.by.clone() else { return };
        self.share(&by).await;
        self.measure();
    }

    async fn share(&mut self, by: &Incarnation) {
        // Of several servers, the one that counts them may be away.
        self.nodes = self.facts.deliverers(by, self.term).await.unwrap_or(self.nodes);
        let Plan { keep, give_up, mut missing } = plan(self.of.keys().copied(), self.nodes);
        self.end(&give_up).await;
        // If this fails, these leases end by themselves.
        let _ = self.facts.leave(&give_up, by).await;
        let lost = self.take(&keep, by).await;
        self.end(&lost).await;
        missing += lost.len();
        let mut left = candidates(rand::random::<u16>().into(), &keep, &give_up);
        while missing > 0 && !left.is_empty() {
            let tried: Vec<_> = left.drain(..missing.min(left.len())).collect();
            missing = self.take(&tried, by).await.len();
        }
    }

    /// Takes or renews leases. Returns the partitions that another node holds. Where a server does not answer, the leases
    /// that the node has last as long as they last.
    async fn take(&mut self, partitions: &[Partition], by: &Incarnation) -> Vec<Partition> {
        // Before the call: the lease may be over this much earlier than Redis thinks.
        let until = Instant::now() + self.term;
        let asked = self.by_server(partitions).into_iter().map(async |of_one| {
            let held = self.facts.lease(&of_one, by, self.term).await;
            held.map(|held| of_one.into_iter().zip(held).collect::<Vec<_>>()).unwrap_or_default()
        });
        let held = join_all(asked).await;
        let mut refused = Vec::new();
        for (partition, is_held) in held.into_iter().flatten() {
            match self.of.get(&partition) {
                _ if !is_held => refused.push(partition),
                Some(one) => *one.held.until.lock() = until,
                None => drop(self.of.insert(partition, self.start(partition, by, until))),
            }
        }
        refused
    }

    /// The partitions of each server.
    fn by_server(&self, partitions: &[Partition]) -> Vec<Vec<Partition>> {
        let of_part = |part: PartitionSet| partitions.iter().copied().filter(|one| part.contains(*one)).collect();
        self.membership.parts().into_iter().map(of_part).filter(|part: &Vec<_>| !part.is_empty()).collect()
    }

    fn start(&self, partition: Partition, by: &Incarnation, until: Instant) -> One {
        let oldest = self.targets.iter().map(|_| AtomicU64::new(0)).collect();
        let stop = CancellationToken::new();
        let held = Arc::new(Held { partition, by: by.clone(), until: Mutex::new(until), oldest, stop });
        let tips = watch::Sender::new(None);
        let delivery = |target: &Arc<Target>| Delivery {
            facts: self.facts.clone(),
            target: Arc::clone(target),
            held: Arc::clone(&held),
            tips: tips.subscribe(),
        };
        let tasks = self.targets.iter().map(|target| self.lifecycle.spawn(delivery(target).run())).collect();
        One { held, tips, tasks }
    }

    /// Looks at the ends of the partitions, and passes on what has changed.
    async fn look(&mut self) {
        let partitions: Vec<Partition> = self.of.keys().copied().collect();
        let hooks: Vec<&str> = self.targets.iter().map(|target| &*target.hook.name).collect();
        let begun = Instant::now();
        let asked = self.by_server(&partitions).into_iter().map(async |of_one| {
            let tips = self.facts.tips(&of_one, &hooks).await;
            tips.map(|tips| of_one.into_iter().zip(tips).collect::<Vec<_>>()).unwrap_or_default()
        });
        for (partition, tip) in join_all(asked).await.into_iter().flatten() {
            let Some(one) = self.of.get(&partition) else { continue };
            one.tips.send_if_modified(|known| {
                let is_new = known.as_ref().is_none_or(|known| known.tip != tip);
                if is_new {
                    count(known.as_ref().map(|known| &known.tip), &tip);
                    *known = Some(Known { tip, asked: begun });
                }
                is_new
            });
        }
    }

    /// Ends the deliveries of these partitions, and waits for them.
    async fn end(&mut self, partitions: &[Partition]) {
        let ended: Vec<One> = partitions.iter().filter_map(|partition| self.of.remove(partition)).collect();
        ended.iter().for_each(|one| one.held.stop.cancel());
        let waiting = async {
            for task in ended.into_iter().flat_map(|one| one.tasks) {
                // One that panicked has ended, too.
                let _ = task.await;
            }
        };
        // Each ends after at most two saves.
        let _ = tokio::time::timeout(TIMEOUT * 2, waiting).await;
    }

    /// Gives everything up, so that other nodes need not wait for the leases to end.
    async fn leave(&mut self) {
        let all: Vec<Partition> = self.of.keys().copied().collect();
        self.end(&all).await;
        if let Some(by) = self.by.take() {
            // If this fails, the leases end by themselves.
            let _ = self.facts.leave(&Partition::all().collect::<Vec<_>>(), &by).await;
        }
        self.measure();
    }

    /// Sets the gauges.
    fn measure(&self) {
        let now = u64::try_from(chrono::Utc::now().timestamp_micros()).unwrap_or(0);
        for target in &self.targets {
            let oldest =
                self.of.values().filter_map(|one| match one.held.oldest.get(target.index)?.load(Ordering::Relaxed) {
                    0 => None,
                    at => Some(at),
                });
            let lag = oldest.min().map_or(0, |at| now.saturating_sub(at) / 1_000_000);
            metrics::FACTS_LAG.set_configured(&target.hook.name, usize::try_from(lag).unwrap_or(usize::MAX));
        }
        metrics::FACT_PARTITIONS.set(self.of.len());
    }
}

/// Counts the facts that were recorded between two tips.
fn count(before: Option<&Tip>, tip: &Tip) {
    if let Some(before) = before
        && before.end.epoch == tip.end.epoch
    {
        let recorded = tip.end.number.saturating_sub(before.end.number);
        metrics::FACTS_RECORDED.add(usize::try_from(recorded).unwrap_or(0));
    }
}
