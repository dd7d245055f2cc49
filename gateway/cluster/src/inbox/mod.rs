//! Port: users' notifications, and how many of them are unread.
//!
//! Guarantees: a notification and the unread count change together, and the same atomic step pushes the change, with
//! the new count, to every session of the user through the nodes that hold them ([`crate::wire::BusMessage::Inbox`]).
//! So every device receives the changes in their order, and the last count that it receives is that of the latest
//! change. The count is never stored separately: it is the number of stored unread notifications. The inbox keeps the
//! newest [`Keep::max`] of the last [`Keep::age`]: every operation first removes notifications that are too old, and an
//! addition also removes those above the number, so that list and count agree. An id that is added again while it is
//! stored, or within [`REMEMBERED`] of its deletion, is stored once.
//!
//! Deliberately has no timer for notifications that become too old: the next operation on the inbox removes them and
//! pushes the count, unless the whole inbox has expired by then. A push can be lost like any message of [`crate::bus`];
//! [`Inbox::push_count`] corrects the count.

pub(crate) mod memory;
mod notification_id;
pub(crate) mod redis;

use std::{sync::Arc, time::Duration};

pub use self::notification_id::NotificationId;
use crate::{
    Unavailable,
    forward::forward,
    ids::{NodeId, SessionRef},
    inbox::{memory::MemoryInbox, redis::RedisInbox},
};

/// How long the id of a deleted notification is remembered.
pub const REMEMBERED: Duration = Duration::from_mins(10);

/// The limits on a user's stored notifications; 0 for no limit.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// At most this many, the newest.
    pub max: usize,
    /// For at most this long, from the time in the notification's id.
    pub age: Duration,
}

/// The result of adding a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// False if it was not added, because it was stored before or is older than all that are kept.
    pub new: bool,
    /// How many are unread now.
    pub unread: u64,
    /// Sessions that it was pushed to.
    pub delivered: usize,
}

/// The result of marking as read or deleting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Whether the notification exists, or existed until it was deleted; true when all were marked.
    pub found: bool,
    /// How many are unread now.
    pub unread: u64,
}

/// A notification to add, to one user or to many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// A notification posted again with the same id is the same notification.
    pub id: NotificationId,
    /// Any text: this port does not interpret it.
    pub body: Arc<str>,
    /// When it was posted, RFC 3339.
    pub at: Arc<str>,
}

/// A stored notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// As posted.
    pub body: Arc<str>,
    /// When it was posted, RFC 3339.
    pub at: Arc<str>,
    /// Whether it is marked as read.
    pub read: bool,
}

/// Notifications, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub notifications: Vec<Stored>,
    /// How many notifications of the whole inbox are unread, at the same moment.
    pub unread: u64,
    /// Whether there are older ones.
    pub more: bool,
}

/// The port.
#[derive(Clone)]
pub enum Inbox {
    /// Within one process.
    Memory(MemoryInbox),
    /// Two sorted sets, a set and a hash per user in Redis.
    Redis(RedisInbox),
}

impl Inbox {
    /// Adds a notification, unread, and pushes it.
    ///
    /// # Errors
    /// [`Unavailable`]: the notification may or may not have been added; adding it again does no harm.
    pub async fn add(&self, user: &Arc<str>, posted: &Posted) -> Result<Added, Unavailable> {
        forward!(self.add(user, posted))
    }

    /// Adds the same notification to many users, in few round trips. The results are in the users' order.
    ///
    /// # Errors
    /// [`Unavailable`]: some users may not have the notification; adding it again does no harm.
    pub async fn add_many(&self, users: &[Arc<str>], posted: &Posted) -> Result<Vec<Added>, Unavailable> {
        match self {
            Self::Memory(inbox) => users.iter().map(|user| inbox.add(user, posted)).collect(),
            Self::Redis(inbox) => inbox.add_many(users, posted).await,
        }
    }

    /// Marks a notification as read, or all of them if `id` is `None`. If found, pushes the change, even if it was read
    /// before.
    ///
    /// # Errors
    /// [`Unavailable`]: it may or may not have been marked; marking again does no harm.
    pub async fn mark_read(&self, user: &Arc<str>, id: Option<NotificationId>) -> Result<Changed, Unavailable> {
        forward!(self.mark_read(user, id))
    }

    /// Deletes a notification. If found, pushes the change.
    ///
    /// # Errors
    /// [`Unavailable`]: it may or may not have been deleted; deleting again does no harm, but may not find it.
    pub async fn delete(&self, user: &Arc<str>, id: NotificationId) -> Result<Changed, Unavailable> {
        forward!(self.delete(user, id))
    }

    /// The newest notifications, or the newest before `before`, which need not exist any more; at most `limit`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn list(
        &self,
        user: &Arc<str>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        forward!(self.list(user, before, limit))
    }

    /// Pushes their user's current count to these sessions of `node`, whether they are claimed or not. The count takes
    /// the same path as all pushes, so that it arrives in the order of the changes.
    ///
    /// # Errors
    /// [`Unavailable`]: some sessions may not have been sent the count; sending it again does no harm.
    pub async fn push_count(&self, sessions: &[SessionRef], node: &NodeId) -> Result<(), Unavailable> {
        forward!(self.push_count(sessions, node))
    }
}
