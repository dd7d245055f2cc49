//! The one task of a feed on this node: it admits readers and delivers updates, in order. It begins with the node,
//! whether or not anybody reads, so that a new reader costs the back end nothing.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jackfield_shared::{
    time::unix_now,
    trace::{Span, within},
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Feed, rule};
use crate::{
    client::Reader,
    cluster::{
        Unavailable,
        bus::Channel,
        log::{KEPT, Page, Position, Range},
    },
    engine::{Frame, record_write},
    event::Addressee as _,
    node::Node,
    ops::metrics,
    room::{Cursor, Live, Read},
};

/// Readers that are sent to before the task yields.
const BATCH: usize = 1_024;
/// Wait between two attempts to read a log that does not answer.
const RETRY: Duration = Duration::from_millis(200);
/// Interval of checks for readers that are gone and for tokens that expire.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The inputs of a feed's task, handled in order.
pub(super) enum Input {
    Heard(Position, Arc<str>, Option<Span>),
    Join(Arc<Reader>, oneshot::Sender<Result<(), Unavailable>>),
}

/// State that reaches a feed's task even if its mailbox is full.
#[derive(Default)]
pub(super) struct Signals {
    /// Messages may have been missed: the task has to read the log.
    missed: AtomicBool,
    wake: Notify,
}

impl Signals {
    pub(super) fn missed(&self) {
        self.missed.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

struct Task {
    node: Arc<Node>,
    feed: Arc<Feed>,
    greeting: Option<Frame>,
    /// `None` until the log was read.
    cursor: Option<Cursor>,
    /// The last updates, for new readers.
    recent: VecDeque<Frame>,
    /// Some may be gone, until the next sweep.
    readers: Vec<Arc<Reader>>,
}

pub(super) async fn run(node: Arc<Node>, feed: Arc<Feed>, mut inputs: mpsc::Receiver<Input>) {
    let stopping = node.lifecycle.stopping();
    let greeting = Frame::event(&feed.namespace, "connection", &feed.rule.greeting);
    let mut sweeps = interval(SWEEP_EVERY);
    sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    feed.signals.missed();
    let mut task = Task { node, feed, greeting, cursor: None, recent: VecDeque::new(), readers: Vec::new() };
    // When to read a log again that did not answer.
    let mut again_at = Instant::now();
    loop {
        let behind = task.is_behind();
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = task.feed.signals.wake.notified() => {}
            () = tokio::time::sleep_until(again_at), if behind => {}
            _ = sweeps.tick(), if !task.readers.is_empty() => task.sweep().await,
            Some(input) = inputs.recv() => match input {
                Input::Heard(position, body, span) => within(span, task.hear(position, &body)).await,
                Input::Join(reader, done) => {
                    // A caller that gave up waiting closes the connection, and so removes the reader.
                    let _ = done.send(task.join(reader));
                }
            },
        }
        if task.is_behind() && Instant::now() >= again_at && !task.catch_up().await {
            again_at = Instant::now() + RETRY;
        }
    }
}

impl Task {
    fn is_behind(&self) -> bool {
        self.feed.signals.missed.load(Ordering::Acquire)
    }

    async fn hear(&mut self, position: Position, body: &str) {
        let Some(cursor) = &mut self.cursor else { return };
        match cursor.live(position) {
            Live::Deliver => self.deliver(body).await,
            Live::Seen => {}
            // At once, and as a part of this update's trace; if the log does not answer, `run` reads it again.
            Live::Repair if !self.is_behind() => {
                self.catch_up().await;
            }
            Live::Repair => {}
        }
    }

    async fn deliver(&mut self, body: &str) {
        let frame = self.update(body);
        self.fan_out(&frame).await;
        self.recent.push_back(frame);
        if self.recent.len() > self.feed.rule.keep {
            self.recent.pop_front();
        }
    }

    fn update(&self, body: &str) -> Frame {
        Frame::event_json(&self.feed.namespace, "updates", body)
    }

    async fn fan_out(&self, frame: &Frame) {
        let present = self.readers.iter().rev().filter(|reader| !reader.is_gone());
        record_write(frame, present.map(|reader| reader.outbox()));
        let mut batches = self.readers.chunks(BATCH).peekable();
        while let Some(batch) = batches.next() {
            let mut sent = 0;
            for reader in batch.iter().filter(|reader| !reader.is_gone()) {
                sent += 1;
                reader.send(frame);
            }
            metrics::DELIVERIES.add(sent);
            if batches.peek().is_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads and delivers the missing updates. Returns false if the log does not answer: the signal stays set.
    async fn catch_up(&mut self) -> bool {
        self.feed.signals.missed.store(false, Ordering::Release);
        let caught_up = self.read_on().await.is_ok();
        if !caught_up {
            self.feed.signals.missed.store(true, Ordering::Release);
        }
        caught_up
    }

    async fn read_on(&mut self) -> Result<(), Unavailable> {
        let (log, name) = (self.node.cluster.log.clone(), self.feed.log.clone());
        let Some(mut cursor) = self.cursor else { return self.begin().await };
        loop {
            let seen = cursor.at();
            let page = log.read(&name, Range::After(seen.number), KEPT, Some(seen)).await?;
            match cursor.read(&page) {
                Read::Deliver { lost, from, more } => {
                    if lost.is_some() {
                        tracing::warn!(feed = %self.feed.namespace, "more was missed than the feed keeps");
                        metrics::RESETS.add_for(["feed"], 1);
                        self.recent.clear();
                    }
                    self.cursor = Some(cursor);
                    let missed = &page.messages[from..];
                    metrics::REPAIRED.add_for(["feed"], missed.len());
                    for stored in missed {
                        self.deliver(&stored.body).await;
                    }
                    if !more {
                        return Ok(());
                    }
                }
                Read::Anew { at } => {
                    // The protocol has no reset for readers: they get what follows from here on.
                    tracing::warn!(feed = %self.feed.namespace, "the feed's log began anew");
                    metrics::RESETS.add_for(["feed"], 1);
                    let before = log.read(&name, Range::Before(at.number + 1), self.feed.rule.keep, None).await?;
                    self.keep(&before);
                    self.cursor = Some(cursor);
                }
            }
        }
    }

    /// Subscribes, then sets the cursor: from then on the task misses nothing.
    async fn begin(&mut self) -> Result<(), Unavailable> {
        let cluster = self.node.cluster.clone();
        cluster.bus.subscribe(&[Channel::Room(self.feed.log.clone())]).await?;
        let page = cluster.log.read(&self.feed.log, Range::Newest, self.feed.rule.keep, None).await?;
        self.keep(&page);
        self.cursor = Some(Cursor::new(page.end));
        Ok(())
    }

    fn keep(&mut self, page: &Page) {
        self.recent = page.messages.iter().map(|stored| self.update(&stored.body)).collect();
    }

    fn join(&mut self, reader: Arc<Reader>) -> Result<(), Unavailable> {
        if self.cursor.is_none() {
            return Err(Unavailable);
        }
        let connect = Frame::connect(&self.feed.namespace, &reader.id);
        let first: Vec<Frame> =
            [connect].into_iter().chain(self.greeting.clone()).chain(self.recent.iter().cloned()).collect();
        if reader.enter(&first) {
            metrics::CONNECTS.add(1);
            self.readers.push(reader);
        }
        Ok(())
    }

    /// Drops readers that are gone, and checks the tokens of the others if the feed requires one.
    async fn sweep(&mut self) {
        let (now, looks) = (unix_now(), self.feed.rule.read == rule::Read::Token);
        let mut place = 0;
        for turn in 1_usize.. {
            let Some(reader) = self.readers.get(place) else { break };
            if reader.is_gone() {
                self.readers.swap_remove(place);
            } else {
                if looks {
                    reader.look_at_token(now);
                }
                place += 1;
            }
            if turn.is_multiple_of(BATCH) {
                tokio::task::yield_now().await;
            }
        }
        if self.readers.is_empty() {
            self.readers = Vec::new();
        }
        metrics::SOCKETS.set_configured(&self.feed.namespace, self.readers.len());
    }
}
