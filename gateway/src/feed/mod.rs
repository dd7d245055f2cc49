//! Feeds: namespaces `/ws/v1/<name>` whose readers receive updates. Configured by name: see [`rule`].
//!
//! An update is stored in the feed's log before any reader gets it, so that all readers of all nodes get one order, and
//! updates missed during a lost connection to Redis are read from the log. Guarantees: a reader gets, in this order,
//! the greeting, the last updates that are kept for new readers, and every later update that the log still has, once.
//! Deliberately knows no sessions: a reader may be anonymous, and is in no presence list.

pub mod rule;
mod task;
mod update;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jackfield_shared::trace::Span;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

pub use self::update::Change;
use self::{
    rule::Rule,
    task::{Input, Signals},
};
use crate::{
    client::Reader,
    cluster::{TIMEOUT, Unavailable, log::Position, notice::BusMessage, patience, room_name::RoomName},
    node::Node,
};

/// Prefix of the namespaces of all feeds.
const NAMESPACES: &str = "/ws/v1/";
/// Name of a feed's log within its namespace.
const LOG: &str = "updates";
/// Inputs that may wait for a feed's task. Beyond that the task reads the log, and new readers wait to be admitted.
const MAILBOX: usize = 1_024;

/// A configured feed.
pub struct Feed {
    /// As configured.
    pub rule: Rule,
    /// The namespace of its readers.
    pub namespace: Arc<str>,
    /// The log that stores and numbers its updates.
    log: RoomName,
    mailbox: mpsc::Sender<Input>,
    /// Until the task takes them.
    inputs: Mutex<Option<mpsc::Receiver<Input>>>,
    signals: Signals,
    /// Number of readers on this node.
    count: AtomicUsize,
}

/// All configured feeds, by name.
#[derive(Default)]
pub struct Feeds {
    by_name: HashMap<String, Arc<Feed>>,
}

/// Why an update was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No feed of this name is configured.
    #[error("no such feed")]
    NoSuchFeed,
    /// It is not known whether it was published.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Sends the readers of a feed, on all nodes, what became of something. `entity`, if not given, is the feed's own.
/// Returns the update's position in the feed's order, which is the same for all readers.
///
/// # Errors
/// [`PublishError`].
pub async fn publish<T: Serialize + ?Sized>(
    node: &Node,
    feed: &str,
    change: Change,
    entity: Option<&str>,
    data: &T,
) -> Result<Position, PublishError> {
    let feed = node.feeds.by_name.get(feed).ok_or(PublishError::NoSuchFeed)?;
    let update = update::of_backend(entity.unwrap_or(&feed.rule.entity), change, data).ok_or(Unavailable)?;
    Ok(feed.append(node, &update).await?)
}

impl Feeds {
    /// These feeds.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let feeds = rules.into_iter().map(|rule| (rule.name.clone(), Arc::new(Feed::new(rule))));
        Self { by_name: feeds.collect() }
    }

    /// Starts to receive updates and to admit readers.
    pub fn start(&self, node: &Arc<Node>) {
        for feed in self.by_name.values() {
            if let Some(inputs) = feed.inputs.lock().take() {
                node.lifecycle.spawn(task::run(Arc::clone(node), Arc::clone(feed), inputs));
            }
        }
    }

    /// The feed that is read in this namespace, if there is one.
    #[must_use]
    pub fn of(&self, namespace: &str) -> Option<&Arc<Feed>> {
        self.by_name.get(namespace.strip_prefix(NAMESPACES)?)
    }

    /// All feeds.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.by_name.values()
    }

    /// The bus may have missed messages, in any feed.
    pub(crate) fn missed(&self) {
        self.by_name.values().for_each(|feed| feed.signals.missed());
    }
}

impl Feed {
    fn new(rule: Rule) -> Self {
        let namespace: Arc<str> = format!("{NAMESPACES}{}", rule.name).into();
        let (mailbox, inputs) = mpsc::channel(MAILBOX);
        Self {
            rule,
            log: RoomName { namespace: Arc::clone(&namespace), name: LOG.into() },
            namespace,
            mailbox,
            inputs: Mutex::new(Some(inputs)),
            signals: Signals::default(),
            count: AtomicUsize::new(0),
        }
    }

    /// Admits a reader, and sends it the CONNECT before this returns.
    ///
    /// # Errors
    /// [`Unavailable`] if the feed's log has not been read yet: close the connection then.
    pub async fn let_in(&self, reader: Arc<Reader>) -> Result<(), Unavailable> {
        let (done, answer) = oneshot::channel();
        let entering = async {
            self.mailbox.send(Input::Join(reader, done)).await.map_err(|_| Unavailable)?;
            answer.await.map_err(|_| Unavailable)?
        };
        let limit = deadline::left(TIMEOUT).ok_or(Unavailable)?;
        let entered = tokio::time::timeout(limit, entering).await;
        entered.unwrap_or_else(|_| {
            // The task is waiting for the back end.
            deadline::ended(deadline::Wait::TimedOut);
            Err(Unavailable)
        })
    }

    /// Sends the readers, on all nodes, an update that one of them reports.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether the update was stored.
    pub async fn relay(&self, node: &Node, data: &RawValue) -> Result<Position, Unavailable> {
        let update = update::of_reader(data).ok_or(Unavailable)?;
        self.append(node, &update).await
    }

    /// Number of readers on this node.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nobody reads it on this node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn entered(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn left(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Passes a bus message to the feed's task. If the mailbox is full, the task reads the log instead.
    pub(crate) fn hear(&self, notice: BusMessage, span: Option<Span>) {
        if let BusMessage::Message { position, body } = notice
            && self.mailbox.try_send(Input::Heard(position, body, span)).is_err()
        {
            self.signals.missed();
        }
    }

    async fn append(&self, node: &Node, update: &str) -> Result<Position, Unavailable> {
        Ok(node.cluster.log.append(&self.log, update, None).await?.position)
    }
}
