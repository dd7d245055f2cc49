//! The one task of a feed on this node: it admits subscribers and delivers updates, in order. It runs from the node's
//! start, even without subscribers, so that a new subscriber costs the back end nothing.

use std::sync::Arc;

use jackfield_cluster::{
    Unavailable,
    bus::{Bus, Channel},
    ids::SocketId,
    log::{KEPT, Log, Position, Range, Stored},
};
use jackfield_engine::Frame;
use jackfield_shared::trace::{Span, within};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Feed, Reader,
    history::{History, Update},
    resume::{Resume, Terms, offset},
};
use crate::log_follower::{LogFollower, Sink, missed};

/// Time between two attempts to begin.
const RETRY: Duration = Duration::from_millis(200);

/// The inputs of a feed's task, handled in order.
pub(super) enum Input<M> {
    Update(Position, Arc<str>, Option<Span>),
    Join { subscriber: Arc<M>, terms: Terms, admit: Admit, done: oneshot::Sender<Result<(), Unavailable>> },
}

/// Sends a new subscriber its first frames; false if it is gone.
pub(super) type Admit = Box<dyn FnOnce(&[Frame]) -> bool + Send>;

/// The feed on this node: the sink of its log's updates.
struct LocalFeed<M> {
    feed: Arc<Feed<M>>,
    log: Log,
    greeting: Option<Frame>,
    history: History,
    /// A subscriber has asked for offsets.
    offsets: bool,
}

pub(super) async fn run<M: Reader>(
    feed: Arc<Feed<M>>,
    bus: Bus,
    log: Log,
    mut inputs: mpsc::Receiver<Input<M>>,
    stopping: CancellationToken,
) {
    let greeting = Frame::event(&feed.namespace, "connection", &feed.rule.greeting);
    let mut follower = LogFollower::new(log.clone(), feed.log.clone());
    let history = History::new(Arc::clone(&feed.namespace));
    let mut local = LocalFeed { feed, log, greeting, history, offsets: false };
    let mut begin_at = Instant::now();
    loop {
        let feed = Arc::clone(&local.feed);
        let has_begun = follower.at().is_some();
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = sleep_until(begin_at), if !has_begun => {
                if local.begin(&bus, &mut follower).await.is_err() {
                    begin_at = Instant::now() + RETRY;
                }
            }
            () = follower.behind(&feed.signals), if has_begun => drop(follower.repair(&feed.signals, &mut local).await),
            Some(input) = inputs.recv() => match input {
                Input::Update(position, body, span) => {
                    within(span, follower.live(position, &body, &feed.signals, &mut local)).await;
                }
                Input::Join { subscriber, terms, admit, done } => {
                    // A caller that timed out closes the connection, which removes the subscriber.
                    let _ = done.send(local.join(&mut follower, subscriber, terms, admit).await);
                }
            },
        }
    }
}

impl<M: Reader> LocalFeed<M> {
    /// Subscribes to the log's channel, then sets the cursor, so that no update falls in between.
    async fn begin(&mut self, bus: &Bus, follower: &mut LogFollower) -> Result<(), Unavailable> {
        bus.subscribe(&[Channel::Room(self.feed.log.clone())]).await?;
        let page = self.log.read(&self.feed.log, Range::Newest, self.feed.rule.keep, None).await?;
        self.history.fill(&page);
        follower.begin(&page);
        Ok(())
    }

    /// Admits a subscriber. One that comes back gets what it missed; any other gets the updates that the feed keeps for
    /// new ones.
    async fn join(
        &mut self,
        follower: &mut LogFollower,
        subscriber: Arc<M>,
        terms: Terms,
        admit: Admit,
    ) -> Result<(), Unavailable> {
        let mut at = follower.at().ok_or(Unavailable)?;
        let mut recovered = None;
        if let Some(resume) = terms.resume {
            let feed = Arc::clone(&self.feed);
            if resume.after > at && follower.repair(&feed.signals, self).await {
                // Another node told the client more than this one has heard.
                at = follower.at().ok_or(Unavailable)?;
            }
            let number = follower.number_of(resume.after);
            recovered = self.missed(resume, number, at, terms).await?;
        }
        let (id, pid, greeted_at, updates) = match recovered {
            Some((resume, missed)) => (resume.id, Some(resume.id), resume.after, missed),
            None => {
                let newest = self.history.newest(self.feed.rule.keep);
                let kept: Vec<_> = newest.map(|update| update.frame(terms.offsets).clone()).collect();
                // Before the first of them.
                let number = at.number.saturating_sub(kept.len() as u64);
                let id = SocketId::random();
                (id, terms.offsets.then_some(id), Position { number, ..at }, kept)
            }
        };
        let pid = pid.map(|pid| pid.to_string());
        let connect = Frame::connect(&self.feed.namespace, &id.to_string(), pid.as_deref());
        let greeting = self.greeting.as_ref().map(|greeting| match terms.offsets {
            true => greeting.with_argument(offset(greeted_at).as_bytes()),
            false => greeting.clone(),
        });
        let first: Vec<Frame> = [connect].into_iter().chain(greeting).chain(updates).collect();
        self.offsets |= terms.offsets;
        self.admit(&subscriber, admit, &first);
        Ok(())
    }

    /// The updates that a client missed, with offsets; `None` if not all of them are kept, or if they are too many.
    /// `number` is that of the last one that it has, if the log has all that it has.
    async fn missed(
        &mut self,
        resume: Resume,
        number: Option<u64>,
        at: Position,
        terms: Terms,
    ) -> Result<Option<(Resume, Vec<Frame>)>, Unavailable> {
        if resume.after == at {
            return Ok(Some((resume, Vec::new())));
        }
        if let Some(updates) = self.history.after(resume.after) {
            return Ok(fitting(updates, terms).map(|frames| (resume, frames)));
        }
        let number = match number {
            Some(number) => number,
            None if resume.after == self.log.empty(&self.feed.log).await? => 0,
            None => return Ok(None),
        };
        if !self.history.may_be_read_after(number) {
            return Ok(None);
        }
        let page = self.log.read(&self.feed.log, Range::After(number), KEPT, Some(at)).await?;
        let Some((from, to)) = missed(resume.after, at, &page) else {
            self.history.cannot_be_read_after(number);
            return Ok(None);
        };
        let wanted = page.messages.iter().filter(|stored| (from + 1..=to).contains(&stored.position.number));
        let update = |stored: &Stored| Update::new(&self.feed.namespace, stored.position, &stored.body);
        let mut updates: Vec<_> = wanted.map(update).collect();
        let frames = fitting(updates.iter_mut(), terms).map(|frames| (resume, frames));
        self.history.prepend(updates);
        Ok(frames)
    }

    /// Adds the subscriber before sending it anything, so that a concurrent end of the connection finds and removes it.
    fn admit(&self, subscriber: &Arc<M>, admit: Admit, first: &[Frame]) {
        self.feed.subscribers.join(Arc::clone(subscriber));
        if !admit(first) {
            self.feed.subscribers.leave(subscriber);
        }
    }
}

/// The frames of these updates, unless they are too many for a subscriber's queue.
fn fitting<'a>(updates: impl Iterator<Item = &'a mut Update>, terms: Terms) -> Option<Vec<Frame>> {
    let frames: Vec<_> = updates.map(|update| update.frame(terms.offsets).clone()).collect();
    let fits = frames.len() <= terms.max && frames.iter().map(Frame::bytes).sum::<usize>() <= terms.max_bytes;
    fits.then_some(frames)
}

impl<M: Reader> Sink for LocalFeed<M> {
    const KIND: &'static str = "feed";

    async fn deliver(&mut self, position: Position, body: &Arc<str>) {
        let mut update = Update::new(&self.feed.namespace, position, body);
        let subscribers = &self.feed.subscribers;
        if self.offsets {
            subscribers.fan_out_to(update.frame(false), |reader| !reader.has_offsets()).await;
            subscribers.fan_out_to(update.frame(true), Reader::has_offsets).await;
        } else {
            subscribers.fan_out(update.frame(false)).await;
        }
        self.history.push(update);
    }

    /// The protocol has no reset for subscribers: they just get the updates that follow.
    async fn reset(&mut self, position: Position, anew: bool) -> Result<(), Unavailable> {
        self.history.clear();
        if anew {
            let before = Range::Before(position.number + 1);
            let page = self.log.read(&self.feed.log, before, self.feed.rule.keep, None).await?;
            self.history.fill(&page);
        }
        Ok(())
    }
}
