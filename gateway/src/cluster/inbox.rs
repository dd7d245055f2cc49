//! Port: users' notifications, and how many of them are unread.
//!
//! Guarantees: a notification and the unread count change together, and what changes is pushed in the same atomic step to
//! every session of the user, over the nodes that hold them: first what happened, then the count. So every device hears
//! the changes in the order in which they happened, and the last count it heard is the true one. The count is never
//! kept apart: it is how many unread ones are stored. The newest [`Keep::most`] of [`Keep::age`] are kept; what is beyond
//! that is gone before anything else is looked at, so that list and count agree. An id that is added again within
//! [`REMEMBERED`] is stored once, even if it was deleted in between.
//!
//! Deliberately does not wake up when a notification gets too old: whoever touches the inbox next finds it gone, and then
//! the count is pushed. A push is as lost as any message of [`super::bus`]; [`Inbox::tell`] puts it right.

use std::{sync::Arc, time::Duration};

use super::{
    Unavailable,
    ids::{Holding, NodeId},
    inbox_memory::MemoryInbox,
    inbox_redis::RedisInbox,
    notification::{NotificationId, Posted},
};

/// How long the id of a deleted notification is remembered.
pub const REMEMBERED: Duration = Duration::from_mins(10);

/// What is kept of a user's notifications; 0 for no limit.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// The newest so many.
    pub most: usize,
    /// For so long, from the moment in the notification's id.
    pub age: Duration,
}

/// What came of adding a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// False where it was stored before, or is older than all that is kept: then nothing was changed.
    pub new: bool,
    /// How many are unread now.
    pub unread: u64,
    /// Sessions that it was pushed to.
    pub delivered: usize,
}

/// What came of reading or deleting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// Whether there is, or was, such a notification; true for all of them.
    pub found: bool,
    /// How many are unread now.
    pub unread: u64,
}

/// Notifications, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// JSON of each: `{id,title,message,type,data?,read,createdAt}`.
    pub notifications: Vec<String>,
    /// How many of the whole inbox are unread, at the same moment.
    pub unread: u64,
    /// Whether there are older ones.
    pub more: bool,
}

/// The port.
#[derive(Clone)]
pub enum Inbox {
    /// Within one process.
    Memory(MemoryInbox),
    /// A sorted set, a set and a hash per user in Redis.
    Redis(RedisInbox),
}

impl Inbox {
    /// Adds a notification, unread, and pushes `notification:new` and the count.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was added: adding it again does no harm.
    pub async fn add(&self, user: &Arc<str>, posted: &Posted) -> Result<Added, Unavailable> {
        match self {
            Self::Memory(inbox) => inbox.add(user, posted),
            Self::Redis(inbox) => inbox.add(user, posted).await,
        }
    }

    /// Adds the same notification to many users, without a round trip for each. The answers are in the users' order.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have it: adding it again does no harm.
    pub async fn add_many(&self, users: &[Arc<str>], posted: &Posted) -> Result<Vec<Added>, Unavailable> {
        match self {
            Self::Memory(inbox) => users.iter().map(|user| inbox.add(user, posted)).collect(),
            Self::Redis(inbox) => inbox.add_many(users, posted).await,
        }
    }

    /// Marks a notification, or without one all of them, as read. Where it is found, pushes `notification:read` and the
    /// count, even if it was read before.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known: marking again does no harm.
    pub async fn mark_read(&self, user: &Arc<str>, id: Option<NotificationId>) -> Result<Changed, Unavailable> {
        match self {
            Self::Memory(inbox) => inbox.mark_read(user, id),
            Self::Redis(inbox) => inbox.mark_read(user, id).await,
        }
    }

    /// Deletes a notification. Where it is found, pushes `notification:deleted` and the count.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known: deleting again does no harm, but does not find it.
    pub async fn delete(&self, user: &Arc<str>, id: NotificationId) -> Result<Changed, Unavailable> {
        match self {
            Self::Memory(inbox) => inbox.delete(user, id),
            Self::Redis(inbox) => inbox.delete(user, id).await,
        }
    }

    /// The newest notifications, or the newest before `before`, which need not be there any more; at most `limit`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn list(
        &self,
        user: &Arc<str>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        match self {
            Self::Memory(inbox) => inbox.list(user, before, limit),
            Self::Redis(inbox) => inbox.list(user, before, limit).await,
        }
    }

    /// Pushes the present count to these sessions of `node`, each its user's, whether they are claimed or not. It takes the
    /// way of all pushes, so that it neither overtakes a change nor comes after a later one.
    ///
    /// # Errors
    /// [`Unavailable`] when some may not have been told: telling again does no harm.
    pub async fn tell(&self, sessions: &[Holding], node: &NodeId) -> Result<(), Unavailable> {
        match self {
            Self::Memory(inbox) => inbox.tell(sessions, node),
            Self::Redis(inbox) => inbox.tell(sessions, node).await,
        }
    }
}
