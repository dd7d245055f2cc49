//! Feeds: namespaces `/ws/v1/<name>` whose subscribers receive updates. Configured by name: see [`rule`].
//!
//! An update is stored in the feed's log before any subscriber gets it, so that all subscribers on all nodes get the
//! same order, and updates missed during a lost connection to Redis are read from the log. Guarantees: a subscriber
//! gets, in this order, the greeting, the last updates that the feed keeps for new subscribers, and every later update
//! that the log still has, once. One that asked for offsets and comes back gets what it missed instead of the former,
//! or learns that it was not recovered ([`resume`]): the offset is all that this needs, on any node. Deliberately knows
//! no sessions: a subscriber may be anonymous, and is in no presence list.

mod history;
mod resume;
pub(crate) mod rule;
mod task;
mod update;

use std::{collections::HashMap, sync::Arc};

use jackfield_cluster::{
    TIMEOUT, Unavailable,
    bus::Bus,
    deadline::{self, Wait},
    log::{Appended, Log},
    partition::PartitionSet,
    room_name::RoomName,
    wire::BusMessage,
};
use jackfield_engine::Frame;
use jackfield_shared::{lifecycle::Lifecycle, trace::Span};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::{
    resume::{Resume, Terms},
    update::Change,
};
use self::{rule::Rule, task::Input};
use crate::{
    hub::{Group, Member},
    log_follower::Signals,
};

/// Prefix of the namespaces of all feeds.
const NAMESPACES: &str = "/ws/v1/";
/// Name of a feed's log within its namespace.
const LOG: &str = "updates";
/// Inputs that may wait for a feed's task. When it is full, the task reads the log, and new subscribers wait.
const MAILBOX: usize = 1_024;

/// A configured feed, with its subscribers on this node.
pub(crate) struct Feed<M> {
    /// As configured.
    pub(crate) rule: Rule,
    /// The namespace of its subscribers.
    pub(crate) namespace: Arc<str>,
    pub(crate) subscribers: Group<M>,
    /// The log that stores and numbers its updates.
    log: RoomName,
    mailbox: mpsc::Sender<Input<M>>,
    /// `Some` until the task takes it.
    inputs: Mutex<Option<mpsc::Receiver<Input<M>>>>,
    signals: Signals,
}

/// A member of a feed.
pub(crate) trait Reader: Member {
    /// Whether its events carry offsets.
    fn has_offsets(&self) -> bool;
}

/// All configured feeds, by name.
pub(crate) struct Feeds<M> {
    by_name: HashMap<String, Arc<Feed<M>>>,
    bus: Bus,
    log: Log,
}

/// Why an update was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PublishError {
    /// No feed of this name is configured.
    #[error("no such feed")]
    NoSuchFeed,
    /// The update may or may not have been published.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl<M: Reader> Feeds<M> {
    pub(crate) fn new(rules: Vec<Rule>, bus: Bus, log: Log) -> Self {
        let feeds = rules.into_iter().map(|rule| (rule.name.clone(), Arc::new(Feed::new(rule))));
        Self { by_name: feeds.collect(), bus, log }
    }

    /// Starts to receive updates and to admit subscribers.
    pub(crate) fn start(&self, lifecycle: &Lifecycle) {
        for feed in self.by_name.values() {
            if let Some(inputs) = feed.inputs.lock().take() {
                let (feed, bus, log) = (Arc::clone(feed), self.bus.clone(), self.log.clone());
                lifecycle.spawn(task::run(feed, bus, log, inputs, lifecycle.stopping()));
            }
        }
    }

    /// The feed of this namespace, if there is one.
    pub(crate) fn of(&self, namespace: &str) -> Option<&Arc<Feed<M>>> {
        self.by_name.get(namespace.strip_prefix(NAMESPACES)?)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Feed<M>>> {
        self.by_name.values()
    }

    /// The bus may have lost messages of feeds in these partitions: makes them read their logs.
    pub(crate) fn missed(&self, partitions: PartitionSet) {
        let concerned = self.by_name.values().filter(|feed| partitions.concerns_room(&feed.log));
        concerned.for_each(|feed| feed.signals.missed());
    }

    /// Sends a change to the subscribers of a feed, on all nodes. `entity` defaults to the feed's own. Returns the
    /// update's position in the feed's order, which is the same for all subscribers, once it has reached what the feed's
    /// rule wants.
    ///
    /// # Errors
    /// [`PublishError`].
    pub(crate) async fn publish<T: Serialize + ?Sized>(
        &self,
        feed: &str,
        change: Change,
        entity: Option<&str>,
        data: &T,
    ) -> Result<Appended, PublishError> {
        let feed = self.by_name.get(feed).ok_or(PublishError::NoSuchFeed)?;
        let update = update::of_backend(entity.unwrap_or(&feed.rule.entity), change, data).ok_or(Unavailable)?;
        Ok(self.append(feed, &update).await?)
    }

    /// Sends an update that a subscriber reports to all subscribers, on all nodes.
    ///
    /// # Errors
    /// [`Unavailable`]: the update may or may not have been stored.
    pub(crate) async fn relay(&self, feed: &Feed<M>, data: &RawValue) -> Result<Appended, Unavailable> {
        let update = update::of_subscriber(data).ok_or(Unavailable)?;
        self.append(feed, &update).await
    }

    async fn append(&self, feed: &Feed<M>, update: &str) -> Result<Appended, Unavailable> {
        self.log.append(&feed.log, update, None, None, feed.rule.durable).await
    }
}

impl<M: Reader> Feed<M> {
    fn new(rule: Rule) -> Self {
        let namespace: Arc<str> = format!("{NAMESPACES}{}", rule.name).into();
        let (mailbox, inputs) = mpsc::channel(MAILBOX);
        Self {
            rule,
            log: RoomName { namespace: Arc::clone(&namespace), name: LOG.into() },
            namespace,
            subscribers: Group::default(),
            mailbox,
            inputs: Mutex::new(Some(inputs)),
            signals: Signals::default(),
        }
    }

    /// Admits a subscriber. `admit` receives the frames to send first, and returns false if the subscriber is gone.
    ///
    /// # Errors
    /// [`Unavailable`] if the feed's log has not been read yet: close the connection then.
    pub(crate) async fn admit(
        &self,
        subscriber: Arc<M>,
        terms: Terms,
        admit: impl FnOnce(&[Frame]) -> bool + Send + 'static,
    ) -> Result<(), Unavailable> {
        let (done, answer) = oneshot::channel();
        let entering = async {
            let join = Input::Join { subscriber, terms, admit: Box::new(admit), done };
            self.mailbox.send(join).await.map_err(|_| Unavailable)?;
            answer.await.map_err(|_| Unavailable)?
        };
        let limit = deadline::left(TIMEOUT).ok_or(Unavailable)?;
        let entered = tokio::time::timeout(limit, entering).await;
        entered.unwrap_or_else(|_| {
            // The task waits for the back end.
            deadline::ended(Wait::TimedOut);
            Err(Unavailable)
        })
    }

    /// Passes a bus message to the feed's task. If the mailbox is full, the task reads the log instead.
    pub(crate) fn receive(&self, message: BusMessage, span: Option<Span>) {
        if let BusMessage::Message { position, body } = message
            && self.mailbox.try_send(Input::Update(position, body, span)).is_err()
        {
            self.signals.missed();
        }
    }
}

#[cfg(test)]
mod tests {
    use jackfield_cluster::{MemoryCluster, ids::SocketId, partition::Partition};
    use jackfield_engine::Outbox;

    use super::*;
    use crate::settings::GatewaySettings;

    struct TestReader(SocketId, Outbox);

    impl Member for TestReader {
        fn id(&self) -> SocketId {
            self.0
        }

        fn outbox(&self) -> &Outbox {
            &self.1
        }
    }

    impl Reader for TestReader {
        fn has_offsets(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_gap_of_some_partitions_makes_their_feeds_read_and_no_others() {
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let rules: Vec<String> = (0..50).map(|number| format!("feed{number}")).collect();
        let feeds = Feeds::<TestReader>::new(Rule::parse_all(&rules).unwrap(), cluster.bus, cluster.log);
        let some: PartitionSet = Partition::all().filter(|partition| partition.number() % 2 == 0).collect();
        feeds.missed(some);
        let (read, left): (Vec<_>, Vec<_>) = feeds.all().partition(|feed| feed.signals.is_behind());
        assert!(read.len() > 10 && left.len() > 10);
        assert!(read.iter().all(|feed| some.concerns_room(&feed.log)));
        assert!(!left.iter().any(|feed| some.concerns_room(&feed.log)));
    }
}
