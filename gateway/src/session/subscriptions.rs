//! A connection's subscriptions to feeds. They are no part of its session, may outlive it, and end with the transport.
//! Most connections have none, and need no memory for them.

use std::sync::Arc;

use super::Subscriber;

/// See the module.
#[derive(Default)]
pub(super) struct Subscriptions {
    some: Option<Box<Subscribed>>,
    ended: bool,
}

#[derive(Default)]
struct Subscribed {
    subscribers: Vec<Arc<Subscriber>>,
    /// The Unix second of the next check of their tokens; 0 if none is planned.
    checked_at: u64,
}

impl Subscriptions {
    pub(super) fn find(&self, namespace: &str) -> Option<&Arc<Subscriber>> {
        self.all().iter().find(|subscriber| *subscriber.feed.namespace == *namespace)
    }

    pub(super) fn all(&self) -> &[Arc<Subscriber>] {
        self.some.as_ref().map_or(&[], |some| &some.subscribers)
    }

    /// The Unix second of the next check of their tokens; 0 if none is planned.
    pub(super) fn checked_at(&self) -> u64 {
        self.some.as_ref().map_or(0, |some| some.checked_at)
    }

    /// Plans the next check of their tokens; 0 for none.
    pub(super) fn check_at(&mut self, at: u64) {
        if let Some(some) = &mut self.some {
            some.checked_at = at;
        }
    }

    /// The subscribers that sent a token of this user.
    pub(super) fn of(&self, user: &str) -> Vec<Arc<Subscriber>> {
        let is_theirs = |subscriber: &&Arc<Subscriber>| subscriber.user_id.as_deref() == Some(user);
        self.all().iter().filter(is_theirs).cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Adds a subscriber; false if the connection has ended, or has subscribed to the feed already.
    pub(super) fn add(&mut self, subscriber: &Arc<Subscriber>) -> bool {
        let is_new = !self.ended && self.find(&subscriber.feed.namespace).is_none();
        if is_new {
            self.some.get_or_insert_default().subscribers.push(Arc::clone(subscriber));
        }
        is_new
    }

    pub(super) fn remove(&mut self, namespace: &str) -> Option<Arc<Subscriber>> {
        let subscribers = &mut self.some.as_mut()?.subscribers;
        let index = subscribers.iter().position(|subscriber| *subscriber.feed.namespace == *namespace)?;
        Some(subscribers.swap_remove(index))
    }

    /// Removes and returns all subscribers, and refuses further ones.
    pub(super) fn end(&mut self) -> Vec<Arc<Subscriber>> {
        self.ended = true;
        self.some.take().map(|some| some.subscribers).unwrap_or_default()
    }
}
