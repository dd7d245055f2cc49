//! Delivers one partition's facts to one hook, while this node holds the partition's lease.
//!
//! The [`Courier`] decides; this reads, sends and saves. Progress is saved against its version: if another one changed
//! it, for example to send dead facts again, or if Redis fell back, the progress is loaded again once nothing is being
//! sent. Sends nothing once the lease may be over.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::Utc;
use futures_util::{
    FutureExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, StreamExt as _},
};
use jackfield_cluster::{
    Unavailable,
    facts::{Facts, HookState, Page, Progress, Saved, Tip},
    ids::Incarnation,
    partition::Partition,
};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    courier::{Courier, Outcome, Sending, Verdict},
    figures::Figures,
    send::send,
};
use crate::hook::Hook;

/// Facts in one read.
const PAGE: usize = 256;
/// Shortest time between two saves.
const SAVE_EVERY: Duration = Duration::from_millis(100);
/// Longest time without a look at the clock and the lease.
const IDLE: Duration = Duration::from_secs(1);
/// Time until Redis is asked again after it did not answer.
const RETRY: Duration = Duration::from_millis(500);

/// A hook with what its deliveries on this node share.
pub(super) struct Target {
    pub(super) hook: Arc<Hook>,
    /// Its index among the hooks whose versions a [`Tip`] has.
    pub(super) index: usize,
    /// Number of facts delivered on this node.
    pub(super) delivered: watch::Sender<u64>,
    pub(super) figures: Figures,
}

/// A tip, and when it was asked for.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) tip: Tip,
    pub(super) asked: Instant,
}

/// The node's lease of a partition.
pub(super) struct Held {
    pub(super) partition: Partition,
    pub(super) by: Incarnation,
    pub(super) until: Mutex<Instant>,
    /// When the oldest waiting fact of each hook was recorded, in Unix microseconds; 0 for none.
    pub(super) oldest: Vec<AtomicU64>,
    /// Ends the deliveries.
    pub(super) stop: CancellationToken,
}

/// See the module.
pub(super) struct Delivery {
    pub(super) facts: Facts,
    pub(super) target: Arc<Target>,
    pub(super) held: Arc<Held>,
    pub(super) tips: watch::Receiver<Option<Known>>,
}

/// Why a run of a courier ended.
enum End {
    Stopped,
    /// Load the progress again.
    Changed,
}

impl Delivery {
    /// Runs until the lease is given up or lost.
    pub(super) async fn run(mut self) {
        let stop = self.held.stop.clone();
        while !stop.is_cancelled() {
            let loading = self.facts.load(&self.target.hook.name, self.held.partition);
            match stop.run_until_cancelled(loading).await {
                Some(Ok(state)) => {
                    if let End::Stopped = self.go_on(state).await {
                        break;
                    }
                }
                Some(Err(Unavailable)) => drop(stop.run_until_cancelled(sleep(RETRY)).await),
                None => break,
            }
        }
        self.held.oldest[self.target.index].store(0, Ordering::Relaxed);
    }

    /// Delivers from this progress on.
    async fn go_on(&mut self, state: HookState) -> End {
        let stop = self.held.stop.clone();
        let mut delivered = self.target.delivered.subscribe();
        let mut run = Run::new(state);
        let mut calls = FuturesUnordered::new();
        loop {
            let now = unix_millis();
            run.look(self.tips.borrow().as_ref(), self.target.index);
            let may_send = !run.is_stale && *self.held.until.lock() > Instant::now();
            while let Some(sending) = Some(()).filter(|()| may_send).and_then(|()| run.courier.take(now)) {
                calls.push(call(Arc::clone(&self.target), sending));
            }
            if run.is_stale && calls.is_empty() && run.saving.is_none() {
                return End::Changed;
            }
            run.begin(&self.facts, &self.target, &self.held);
            self.held.oldest[self.target.index].store(run.courier.oldest().unwrap_or(0), Ordering::Relaxed);
            let wake = run.wake(now, may_send);
            tokio::select! {
                () = stop.cancelled() => break,
                Some((sending, outcome)) = calls.next() => {
                    let was_failing = run.courier.is_failing();
                    self.count(run.courier.done(sending, outcome, unix_millis(), rand::random()));
                    if !was_failing && run.courier.is_failing() {
                        delivered.mark_unchanged();
                    }
                }
                saved = or_never(&mut run.saving) => run.saved(saved, &self.held),
                page = or_never(&mut run.reading) => run.got(page, &self.target),
                Ok(()) = delivered.changed(), if run.courier.is_failing() => run.courier.others_pass(),
                Ok(()) = self.tips.changed() => {}
                () = sleep_until(wake) => {}
            }
        }
        // The next owner delivers again the facts whose delivery was not saved.
        drop(calls);
        self.save_last(run).await;
        End::Stopped
    }

    fn count(&self, verdict: Verdict) {
        self.target.figures.count(verdict);
        if verdict == Verdict::Delivered {
            self.target.delivered.send_modify(|count| *count += 1);
        }
    }

    async fn save_last(&self, mut run: Run) {
        if let Some(saving) = run.saving.take() {
            run.saved(saving.await, &self.held);
        }
        let progress = run.pending.take().or_else(|| run.courier.progress());
        if let Some(progress) = progress.filter(|_| !run.is_stale) {
            // If Redis does not answer, the next owner repeats what was delivered.
            let (hook, held) = (&self.target.hook.name, &self.held);
            let _ = self.facts.save(hook, held.partition, &held.by, run.version, &progress).await;
        }
    }
}

async fn call(target: Arc<Target>, sending: Sending) -> (Sending, Outcome) {
    let outcome = send(&target.hook, &sending.fact).await;
    (sending, outcome)
}

/// A courier with its reads and saves under way.
struct Run {
    courier: Courier,
    version: u64,
    /// Another one changed the progress, or the log fell back.
    is_stale: bool,
    /// There are facts after those that were read.
    is_behind: bool,
    is_first_read: bool,
    /// When the last read and the last save ended, or the progress was loaded.
    read_at: Instant,
    saved_at: Instant,
    /// When Redis may be asked again.
    retry_at: Instant,
    reading: Option<BoxFuture<'static, Result<Page, Unavailable>>>,
    saving: Option<BoxFuture<'static, Result<Saved, Unavailable>>>,
    /// Progress that is not known to be saved.
    pending: Option<Progress>,
}

impl Run {
    fn new(state: HookState) -> Self {
        let (version, now) = (state.version, Instant::now());
        Self {
            courier: Courier::new(state),
            version,
            is_stale: false,
            is_behind: true,
            is_first_read: true,
            read_at: now,
            saved_at: now,
            retry_at: now,
            reading: None,
            saving: None,
            pending: None,
        }
    }

    /// Compares what was read and saved with a tip.
    fn look(&mut self, known: Option<&Known>, index: usize) {
        let Some(Known { tip, asked }) = known else { return };
        let read = self.courier.read();
        // A tip from before the last read may be older than it.
        let has_fallen_back = tip.end.epoch > 0 && tip.end < read && *asked > self.read_at;
        self.is_behind |= tip.end > read || has_fallen_back;
        let version = tip.versions.get(index).copied().flatten();
        self.is_stale |= self.saving.is_none() && *asked > self.saved_at && version != Some(self.version);
    }

    /// Begins to read and to save, if it is time.
    fn begin(&mut self, facts: &Facts, target: &Target, held: &Held) {
        let now = Instant::now();
        if self.is_stale || now < self.retry_at {
            return;
        }
        if self.reading.is_none() && self.is_behind && self.courier.room() > 0 {
            let (facts, partition, after) = (facts.clone(), held.partition, self.courier.read());
            let count = self.courier.room().min(PAGE);
            self.reading = Some(async move { facts.read(partition, after, count).await }.boxed());
        }
        if self.saving.is_none() && now >= self.saved_at + SAVE_EVERY {
            if self.pending.is_none() {
                self.pending = self.courier.progress();
                self.pending.iter().for_each(|progress| log_dead(progress, &target.hook.name));
            }
            if let Some(progress) = self.pending.clone() {
                let (facts, hook, version) = (facts.clone(), target.hook.name.clone(), self.version);
                let (partition, by) = (held.partition, held.by.clone());
                self.saving = Some(async move { facts.save(&hook, partition, &by, version, &progress).await }.boxed());
            }
        }
    }

    fn saved(&mut self, saved: Result<Saved, Unavailable>, held: &Held) {
        self.saving = None;
        self.saved_at = Instant::now();
        match saved {
            Ok(Saved::Saved(version)) => {
                self.version = version;
                self.pending = None;
            }
            Ok(Saved::Changed) => self.is_stale = true,
            Ok(Saved::Lost) => {
                // Send nothing until the lease is renewed, or the deliveries are ended.
                *held.until.lock() = self.saved_at;
                self.is_stale = true;
            }
            // It may have been saved: then it is loaded again.
            Err(Unavailable) => self.retry_at = self.saved_at + RETRY,
        }
    }

    fn got(&mut self, page: Result<Page, Unavailable>, target: &Target) {
        self.reading = None;
        self.read_at = Instant::now();
        let Ok(page) = page else {
            self.retry_at = self.read_at + RETRY;
            return;
        };
        if page.reset && !self.is_first_read {
            // The log fell back, and with it the progress that Redis has.
            self.is_stale = true;
            return;
        }
        self.is_first_read = false;
        self.is_behind = page.next != page.end && page.end.epoch > 0;
        target.figures.dropped(page.dropped, page.reset, &target.hook.name);
        self.courier.push(page, |fact| target.hook.facts().matches(fact.kind.as_str()));
    }

    /// When to look again, if nothing happens before.
    fn wake(&self, now: u64, may_send: bool) -> Instant {
        let idle = Instant::now() + IDLE;
        let sends = self.courier.wake_at(now).filter(|_| may_send && !self.is_stale);
        let sends = sends.map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(now)).min(IDLE));
        let has_progress = self.pending.is_some() || self.courier.has_progress();
        let saves = (has_progress && self.saving.is_none()).then(|| (self.saved_at + SAVE_EVERY).max(self.retry_at));
        let reads = (self.is_behind && self.reading.is_none() && self.courier.room() > 0).then_some(self.retry_at);
        [sends, saves, reads].into_iter().flatten().fold(idle, Instant::min)
    }
}

fn log_dead(progress: &Progress, hook: &str) {
    for dead in &progress.dead {
        let (fact, reason) = (dead.fact.id.to_string(), &*dead.reason);
        tracing::warn!(
            hook,
            fact,
            reason,
            "gave up a fact: see `/v1/hooks/{{name}}/dead`, and send it again from there"
        );
    }
}

/// The result of what is under way, and never if nothing is.
async fn or_never<T>(work: &mut Option<BoxFuture<'static, T>>) -> T {
    match work {
        Some(work) => work.await,
        None => pending().await,
    }
}

fn unix_millis() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or(0)
}
