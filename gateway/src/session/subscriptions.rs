//! A connection's subscriptions to feeds. They are no part of its session, may outlive it, and end with the transport.

use std::sync::Arc;

use super::Subscriber;

/// See the module.
#[derive(Default)]
pub(super) struct Subscriptions {
    subscribers: Vec<Arc<Subscriber>>,
    /// The Unix second of the next check of their tokens; 0 if none is planned.
    pub(super) checked_at: u64,
    ended: bool,
}

impl Subscriptions {
    pub(super) fn find(&self, namespace: &str) -> Option<&Arc<Subscriber>> {
        self.subscribers.iter().find(|subscriber| *subscriber.feed.namespace == *namespace)
    }

    pub(super) fn all(&self) -> &[Arc<Subscriber>] {
        &self.subscribers
    }

    /// The subscribers that sent a token of this user.
    pub(super) fn of(&self, user: &str) -> Vec<Arc<Subscriber>> {
        let is_theirs = |subscriber: &&Arc<Subscriber>| {
            subscriber.identity.as_ref().is_some_and(|identity| *identity.user_id == *user)
        };
        self.subscribers.iter().filter(is_theirs).cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
    }

    /// Adds a subscriber; false if the connection has ended, or has subscribed to the feed already.
    pub(super) fn add(&mut self, subscriber: &Arc<Subscriber>) -> bool {
        let is_new = !self.ended && self.find(&subscriber.feed.namespace).is_none();
        if is_new {
            self.subscribers.push(Arc::clone(subscriber));
        }
        is_new
    }

    pub(super) fn remove(&mut self, namespace: &str) -> Option<Arc<Subscriber>> {
        let index = self.subscribers.iter().position(|subscriber| *subscriber.feed.namespace == *namespace)?;
        Some(self.subscribers.swap_remove(index))
    }

    /// Removes and returns all subscribers, and refuses further ones.
    pub(super) fn end(&mut self) -> Vec<Arc<Subscriber>> {
        self.ended = true;
        std::mem::take(&mut self.subscribers)
    }
}
