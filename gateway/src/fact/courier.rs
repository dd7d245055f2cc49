//! Decides which fact of a partition is sent to a hook next, and what a failure means. Pure: the caller reads, sends
//! and saves, and passes the time in Unix milliseconds.
//!
//! Guarantees: facts about one subject, a user or a room, are sent one at a time in their order, the next one once the
//! one before was delivered or is dead; nothing is left out; [`Courier::progress`] never passes a fact that was neither
//! delivered nor parked nor is dead; at most [`IN_FLIGHT`] facts are sent at a time, and one while the hook does not
//! answer; at most about [`WINDOW`] and [`PARKED`] facts are kept.
//!
//! - The hook as a whole fails: nothing is sent for a growing pause, and nothing is left out, however long it takes.
//! - One fact alone is refused, or fails [`ALONE_AFTER`] times while others are delivered: its subject is *parked*. The
//!   fact is sent again after growing pauses of its own, later ones about the same subject wait behind it, others go on.
//! - A fact whose term is over dies with a failure, but not before [`TRIES`] of them in a row: it may have waited behind
//!   another one for all of its term. The next one about its subject follows.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use jackfield_cluster::{
    facts::{Dead, Fact, FactId, HookState, Page, Parked, Progress},
    log::Position,
};

use super::pause::pause;

/// Facts that are sent at a time.
pub(super) const IN_FLIGHT: usize = 8;
/// Facts that may wait to be sent, parked ones apart.
pub(super) const WINDOW: usize = 1_024;
/// Parked facts from which on nothing more is read.
pub(super) const PARKED: usize = 1_000;
/// Failures after which a fact is parked, if others were delivered since the first of them.
const ALONE_AFTER: u32 = 3;
/// Failures in a row before which no fact dies.
const TRIES: u32 = 6;
/// How long a fact is sent again, in milliseconds.
pub(crate) const TERM: u64 = 24 * 3_600_000;
/// The pause after a call that was not sent, because too many were open.
const SHORT_PAUSE: u64 = 200;

/// The result of sending a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    /// The backend refused this fact.
    Refused(Box<str>),
    /// The backend failed with this fact: it may be the fact, or the backend.
    Failed(Box<str>),
    /// The backend does not answer.
    Down(Box<str>),
    /// Nothing was sent.
    NotSent,
}

/// The outcome for a fact, to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    /// It will be sent again.
    Retried,
    Dead,
}

/// A fact to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sending {
    pub(super) fact: Arc<Fact>,
    subject: Arc<str>,
    began: u64,
}

/// See the module.
pub(super) struct Courier {
    /// Everything up to here was read.
    read: Position,
    /// Numbers of the facts that wait or are being sent, parked ones apart, and when they were recorded.
    waiting: BTreeMap<u64, u64>,
    parked: usize,
    subjects: HashMap<Arc<str>, Queue>,
    /// Subjects whose first fact can be sent now.
    ready: VecDeque<Arc<str>>,
    /// Parked subjects by the time of the next attempt.
    later: BTreeSet<(u64, Arc<str>)>,
    in_flight: usize,
    /// Failures of the hook as a whole in a row.
    failures: u32,
    /// The last of them was that the hook did not answer at all.
    is_down: bool,
    /// When the present pause began and ends.
    pause: (u64, u64),
    error: Box<str>,
    /// Facts delivered so far.
    delivered: u64,
    /// Changes since the last progress.
    changes: Progress,
    is_changed: bool,
}

/// The facts about one subject, in order.
#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Failures of the first fact in a row.
    failures: u32,
    /// [`Courier::delivered`] at the first of them.
    delivered_before: u64,
}

struct Item {
    fact: Arc<Fact>,
    until: u64,
    is_parked: bool,
}

impl Courier {
    /// Continues with the progress that was saved.
    pub(super) fn new(HookState { cursor, parked, .. }: HookState) -> Self {
        let mut courier = Self {
            read: cursor,
            waiting: BTreeMap::new(),
            parked: parked.len(),
            subjects: HashMap::new(),
            ready: VecDeque::new(),
            later: BTreeSet::new(),
            in_flight: 0,
            failures: 0,
            is_down: false,
            pause: (0, 0),
            error: "".into(),
            delivered: 0,
            changes: Progress::default(),
            is_changed: false,
        };
        for Parked { fact, until } in parked {
            courier.add(Item { fact: Arc::new(fact), until, is_parked: true });
        }
        courier
    }

    /// The position to read on from.
    pub(super) fn read(&self) -> Position {
        self.read
    }

    /// How many facts to read.
    pub(super) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.waiting.len()).min(PARKED.saturating_sub(self.parked))
    }

    /// Takes the page that follows [`Courier::read`]. Facts that are not `wanted` are passed over.
    pub(super) fn push(&mut self, page: Page, wanted: impl Fn(&Fact) -> bool) {
        self.is_changed |= self.read != page.next;
        self.read = page.next;
        self.changes.dropped += page.dropped;
        for fact in page.facts.into_iter().filter(wanted) {
            let until = fact.id.at / 1_000 + TERM;
            self.add(Item { fact: Arc::new(fact), until, is_parked: false });
        }
    }

    fn add(&mut self, mut item: Item) {
        let subject: Arc<str> = item.fact.subject().into();
        let queue = self.subjects.entry(Arc::clone(&subject)).or_default();
        let is_first = queue.items.is_empty();
        if !item.is_parked && queue.items.back().is_some_and(|last| last.is_parked) {
            // Behind a parked fact: the progress may pass it.
            item.is_parked = true;
            self.parked += 1;
            self.changes.parked.push(Parked { fact: (*item.fact).clone(), until: item.until });
        } else if !item.is_parked {
            self.waiting.insert(item.fact.id.number, item.fact.id.at);
        }
        queue.items.push_back(item);
        if is_first {
            self.ready.push_back(subject);
        }
    }

    /// The next fact to send, which the caller then passes to [`Courier::done`].
    pub(super) fn take(&mut self, now: u64) -> Option<Sending> {
        let most = if self.failures > 0 { 1 } else { IN_FLIGHT };
        if self.in_flight >= most || self.pause.1 > now {
            return None;
        }
        let is_due = self.later.first().is_some_and(|(at, _)| *at <= now);
        let due = if is_due { self.later.pop_first() } else { None };
        // After those that wait already: they have waited less.
        self.ready.extend(due.map(|(_, subject)| subject));
        let subject = self.ready.pop_front()?;
        let fact = Arc::clone(&self.subjects.get(&subject)?.items.front()?.fact);
        self.in_flight += 1;
        Some(Sending { fact, subject, began: now })
    }

    /// A fact that was taken was sent. `jitter` is from 0 to 1.
    pub(super) fn done(&mut self, sending: Sending, outcome: Outcome, now: u64, jitter: f64) -> Verdict {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Sending { subject, began, .. } = sending;
        match outcome {
            Outcome::Delivered => {
                self.delivered += 1;
                self.answers();
                self.finish(subject, None, now);
                Verdict::Delivered
            }
            Outcome::NotSent => {
                self.ready.push_front(subject);
                self.pause.1 = self.pause.1.max(now + SHORT_PAUSE);
                Verdict::Retried
            }
            Outcome::Refused(error) | Outcome::Failed(error) if self.is_over(&subject, now) => {
                self.finish(subject, Some(error), now);
                Verdict::Dead
            }
            Outcome::Refused(_) => {
                self.answers();
                self.failed(&subject);
                self.park(&subject, now, jitter);
                Verdict::Retried
            }
            Outcome::Failed(error) => {
                if self.failed(&subject) {
                    self.park(&subject, now, jitter);
                } else {
                    self.ready.push_back(subject);
                    self.fails(error, false, began, now, jitter);
                }
                Verdict::Retried
            }
            Outcome::Down(error) => {
                // Behind the others, so that one fact that brings the backend down does not keep the others waiting.
                self.ready.push_back(subject);
                self.fails(error, true, began, now, jitter);
                Verdict::Retried
            }
        }
    }

    /// Whether the first fact about a subject dies with one more failure.
    fn is_over(&self, subject: &str, now: u64) -> bool {
        let Some(queue) = self.subjects.get(subject) else { return false };
        queue.failures + 1 >= TRIES && queue.items.front().is_some_and(|first| first.until <= now)
    }

    /// The first fact about a subject failed. Returns whether it fails alone.
    fn failed(&mut self, subject: &str) -> bool {
        let Some(queue) = self.subjects.get_mut(subject) else { return false };
        if queue.failures == 0 {
            queue.delivered_before = self.delivered;
        }
        queue.failures += 1;
        let is_parked = queue.items.front().is_some_and(|first| first.is_parked);
        self.delivered > queue.delivered_before && (is_parked || queue.failures >= ALONE_AFTER)
    }

    /// Parks all facts about a subject that are not parked yet, until the next attempt.
    fn park(&mut self, subject: &Arc<str>, now: u64, jitter: f64) {
        let Some(queue) = self.subjects.get_mut(subject) else { return };
        self.later.insert((now + pause(queue.failures, jitter), Arc::clone(subject)));
        for item in queue.items.iter_mut().filter(|item| !item.is_parked) {
            item.is_parked = true;
            self.parked += 1;
            self.waiting.remove(&item.fact.id.number);
            self.changes.parked.push(Parked { fact: (*item.fact).clone(), until: item.until });
            self.is_changed = true;
        }
    }

    /// The first fact about a subject was delivered, or is dead for this reason.
    fn finish(&mut self, subject: Arc<str>, error: Option<Box<str>>, now: u64) {
        let Some(queue) = self.subjects.get_mut(&subject) else { return };
        if let Some(item) = queue.items.pop_front() {
            let id = item.fact.id;
            if item.is_parked {
                self.parked = self.parked.saturating_sub(1);
                self.changes.unparked.push(id);
            } else {
                self.waiting.remove(&id.number);
            }
            if let Some(reason) = error {
                self.changes.dead.push(Dead { fact: (*item.fact).clone(), at: now, reason });
            }
            self.is_changed = true;
        }
        queue.failures = 0;
        if queue.items.is_empty() {
            self.subjects.remove(&subject);
        } else {
            self.ready.push_back(subject);
        }
    }

    /// The hook as a whole failed: pauses. What was sent before the present pause began does not make it longer.
    fn fails(&mut self, error: Box<str>, is_down: bool, began: u64, now: u64, jitter: f64) {
        self.is_down = is_down;
        let is_known = self.failures > 0 && began <= self.pause.0;
        if !is_known {
            self.failures += 1;
            self.pause = (now, now + pause(self.failures, jitter));
        }
        self.is_changed |= self.error != error;
        self.error = error;
    }

    /// Facts of other partitions were delivered to the hook: ends the pause, if the hook did not answer at all.
    pub(super) fn others_pass(&mut self) {
        self.delivered += 1;
        if self.is_down {
            self.answers();
        }
    }

    /// The hook answers: ends the pause.
    fn answers(&mut self) {
        self.is_down = false;
        self.is_changed |= self.failures > 0;
        self.failures = 0;
        self.pause = (0, 0);
        self.error = "".into();
    }

    /// Whether the hook as a whole fails.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When to call [`Courier::take`] again, if nothing else happens before.
    pub(super) fn wake_at(&self, now: u64) -> Option<u64> {
        if self.in_flight >= IN_FLIGHT || self.failures > 0 && self.in_flight > 0 {
            return None;
        }
        let next = if self.ready.is_empty() { self.later.first().map(|(at, _)| *at) } else { Some(now) };
        next.map(|next| next.max(self.pause.1))
    }

    /// When the oldest fact was recorded that waits and is not parked, in Unix microseconds.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(_, at)| *at)
    }

    /// Whether there is progress since the last call of [`Courier::progress`].
    pub(super) fn has_progress(&self) -> bool {
        self.is_changed
    }

    /// The progress since the last call, if there is any. The caller saves it before it calls this again.
    pub(super) fn progress(&mut self) -> Option<Progress> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let number = self.waiting.first_key_value().map_or(self.read.number, |(first, _)| first - 1);
        let changes = std::mem::take(&mut self.changes);
        // Parked and delivered since: never saved.
        let (parked, unparked) = without_common(changes.parked, changes.unparked);
        let (cursor, paused_until) = (Position { number, ..self.read }, self.pause.1);
        Some(Progress { cursor, parked, unparked, paused_until, error: self.error.clone(), ..changes })
    }
}

/// Removes what is in both lists from both.
fn without_common(parked: Vec<Parked>, unparked: Vec<FactId>) -> (Vec<Parked>, Vec<FactId>) {
    let ended: BTreeSet<_> = unparked.iter().copied().collect();
    let begun: BTreeSet<_> = parked.iter().map(|parked| parked.fact.id).collect();
    (
        parked.into_iter().filter(|parked| !ended.contains(&parked.fact.id)).collect(),
        unparked.into_iter().filter(|id| !begun.contains(id)).collect(),
    )
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
