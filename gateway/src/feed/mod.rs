//! Feeds: namespaces `/ws/v1/<name>` whose readers are told of updates. Configured by name: see [`rule`].

pub mod rule;
mod update;

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;
use serde_json::value::RawValue;

use self::rule::Rule;
pub use self::update::Change;
use crate::{
    cluster::{Unavailable, log::Position, room_name::RoomName},
    node::Node,
};

/// What the namespaces of all feeds begin with.
pub const NAMESPACES: &str = "/ws/v1/";
/// What the log of a feed is called, within its namespace.
const LOG: &str = "updates";

/// A configured feed.
pub struct Feed {
    /// As configured.
    pub rule: Rule,
    /// Where its updates are stored and numbered.
    log: RoomName,
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

/// Tells the readers of a feed, on all nodes, what became of something. `entity`, where not given, is the feed's own.
/// Returns where the update stands in the feed's order, which is the same for all readers.
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
    let feed = node.feeds.find(feed).ok_or(PublishError::NoSuchFeed)?;
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

    /// The feed of this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Feed>> {
        self.by_name.get(name)
    }
}

impl Feed {
    fn new(rule: Rule) -> Self {
        let namespace = format!("{NAMESPACES}{}", rule.name).into();
        Self { rule, log: RoomName { namespace, name: LOG.into() } }
    }

    /// Tells the readers, on all nodes, what one of them says was updated.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether they are told.
    pub async fn relay(&self, node: &Node, data: &RawValue) -> Result<Position, Unavailable> {
        let update = update::of_reader(data).ok_or(Unavailable)?;
        self.append(node, &update).await
    }

    async fn append(&self, node: &Node, update: &str) -> Result<Position, Unavailable> {
        Ok(node.cluster.log.append(&self.log, update, None).await?.position)
    }
}
