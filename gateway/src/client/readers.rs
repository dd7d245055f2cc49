//! A connection's memberships in feeds. They are no part of its session, outlive it, and end with the transport.

use std::sync::Arc;

use super::{Connection, Reader};
use crate::{engine::Frame, event::Addressee as _};

/// See the module.
#[derive(Default)]
pub(super) struct Readers {
    readers: Vec<Arc<Reader>>,
    over: bool,
}

impl Readers {
    pub(super) fn find(&self, namespace: &str) -> Option<&Arc<Reader>> {
        self.readers.iter().find(|reader| reader.namespace() == namespace)
    }

    /// The readers that sent this user's token.
    pub(super) fn of(&self, user: &str) -> Vec<Arc<Reader>> {
        let is_theirs =
            |reader: &&Arc<Reader>| reader.identity.as_ref().is_some_and(|identity| *identity.user_id == *user);
        self.readers.iter().filter(is_theirs).cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// False if the connection has ended, or reads the feed already.
    pub(super) fn add(&mut self, reader: &Arc<Reader>) -> bool {
        let welcome = !self.over && self.find(reader.namespace()).is_none();
        if welcome {
            self.readers.push(Arc::clone(reader));
        }
        welcome
    }

    pub(super) fn remove(&mut self, namespace: &str) -> Option<Arc<Reader>> {
        let place = self.readers.iter().position(|reader| reader.namespace() == namespace)?;
        Some(self.readers.swap_remove(place))
    }

    /// Removes and returns all readers; none is added any more.
    pub(super) fn end(&mut self) -> Vec<Arc<Reader>> {
        self.over = true;
        std::mem::take(&mut self.readers)
    }
}

impl Connection {
    /// Adds a reader to its feed, and sends it these frames first. False if it cannot be added.
    pub(super) fn take_in(self: &Arc<Self>, reader: &Arc<Reader>, first: &[Frame]) -> bool {
        let sent = {
            // Under the lock, so that a concurrent end comes after CONNECT and not before it.
            let mut readers = self.readers.lock();
            if !readers.add(reader) {
                return false;
            }
            reader.feed.entered();
            self.node.readers.insert(self, None);
            first.iter().try_for_each(|frame| self.outbox.send(frame))
        };
        self.admitted(&mut self.session.lock());
        if sent.is_err() {
            reader.too_slow();
        }
        true
    }

    /// Removes a reader from its feed, if it is in it.
    pub(super) fn put_out(&self, namespace: &str) {
        let mut readers = self.readers.lock();
        if let Some(reader) = readers.remove(namespace) {
            reader.gone();
        }
        if readers.is_empty() {
            self.node.readers.remove(&self.id);
        }
    }

    /// Removes the connection from every feed for good. Returns the readers that it had.
    pub(super) fn end_readers(&self) -> Vec<Arc<Reader>> {
        let mut readers = self.readers.lock();
        let ended = readers.end();
        ended.iter().for_each(|reader| reader.gone());
        self.node.readers.remove(&self.id);
        ended
    }
}
