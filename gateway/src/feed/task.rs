//! The one task of a feed on this node: it admits subscribers and delivers updates, in order. It runs from the node's
//! start, even without subscribers, so that a new subscriber costs the back end nothing.

use std::{collections::VecDeque, sync::Arc};

use jackfield_cluster::{
    Unavailable,
    bus::{Bus, Channel},
    log::{Log, Page, Position, Range},
};
use jackfield_engine::Frame;
use jackfield_shared::trace::{Span, within};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::Feed;
use crate::{
    hub::Member,
    log_follower::{LogFollower, Sink},
};

/// Time between two attempts to begin.
const RETRY: Duration = Duration::from_millis(200);

/// The inputs of a feed's task, handled in order.
pub(super) enum Input<M> {
    Update(Position, Arc<str>, Option<Span>),
    Join { subscriber: Arc<M>, admit: Admit, done: oneshot::Sender<Result<(), Unavailable>> },
}

/// Sends a new subscriber its first frames; false if it is gone.
pub(super) type Admit = Box<dyn FnOnce(&[Frame]) -> bool + Send>;

/// The feed on this node: the sink of its log's updates.
struct LocalFeed<M> {
    feed: Arc<Feed<M>>,
    log: Log,
    greeting: Option<Frame>,
    /// The last updates, kept for new subscribers.
    recent: VecDeque<Frame>,
}

pub(super) async fn run<M: Member>(
    feed: Arc<Feed<M>>,
    bus: Bus,
    log: Log,
    mut inputs: mpsc::Receiver<Input<M>>,
    stopping: CancellationToken,
) {
    let greeting = Frame::event(&feed.namespace, "connection", &feed.rule.greeting);
    let mut follower = LogFollower::new(log.clone(), feed.log.clone());
    let mut local = LocalFeed { feed, log, greeting, recent: VecDeque::new() };
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
                Input::Join { subscriber, admit, done } => {
                    if has_begun {
                        local.admit(subscriber, admit);
                    }
                    // A caller that timed out closes the connection, which removes the subscriber.
                    let _ = done.send(has_begun.then_some(()).ok_or(Unavailable));
                }
            },
        }
    }
}

impl<M: Member> LocalFeed<M> {
    /// Subscribes to the log's channel, then sets the cursor, so that no update falls in between.
    async fn begin(&mut self, bus: &Bus, follower: &mut LogFollower) -> Result<(), Unavailable> {
        bus.subscribe(&[Channel::Room(self.feed.log.clone())]).await?;
        let page = self.log.read(&self.feed.log, Range::Newest, self.feed.rule.keep, None).await?;
        self.keep(&page);
        follower.begin(page.end);
        Ok(())
    }

    /// Adds the subscriber before sending it anything, so that a concurrent end of the connection finds and removes it.
    fn admit(&self, subscriber: Arc<M>, admit: Admit) {
        let connect = Frame::connect(&self.feed.namespace, &subscriber.id().to_string());
        let first: Vec<Frame> =
            [connect].into_iter().chain(self.greeting.clone()).chain(self.recent.iter().cloned()).collect();
        let id = subscriber.id();
        self.feed.subscribers.join(subscriber);
        if !admit(&first) {
            self.feed.subscribers.leave(id);
        }
    }

    fn keep(&mut self, page: &Page) {
        self.recent = page.messages.iter().map(|stored| self.update(&stored.body)).collect();
    }

    fn update(&self, body: &str) -> Frame {
        Frame::event_json(&self.feed.namespace, "updates", body)
    }
}

impl<M: Member> Sink for LocalFeed<M> {
    const KIND: &'static str = "feed";

    async fn deliver(&mut self, _: Position, body: &Arc<str>) {
        let frame = self.update(body);
        self.feed.subscribers.fan_out(&frame).await;
        self.recent.push_back(frame);
        if self.recent.len() > self.feed.rule.keep {
            self.recent.pop_front();
        }
    }

    /// The protocol has no reset for subscribers: they just get the updates that follow.
    async fn reset(&mut self, position: Position, anew: bool) -> Result<(), Unavailable> {
        self.recent.clear();
        if anew {
            let before = Range::Before(position.number + 1);
            let page = self.log.read(&self.feed.log, before, self.feed.rule.keep, None).await?;
            self.keep(&page);
        }
        Ok(())
    }
}
