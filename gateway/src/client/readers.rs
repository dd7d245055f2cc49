//! A connection's places in feeds. They outlive its session, which they are no part of, and end with the transport.

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

    /// Those that showed this user's token.
    pub(super) fn of(&self, user: &str) -> Vec<Arc<Reader>> {
        let is_theirs =
            |reader: &&Arc<Reader>| reader.identity.as_ref().is_some_and(|identity| *identity.user_id == *user);
        self.readers.iter().filter(is_theirs).cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.readers.is_empty()
    }

    /// False where nobody comes in any more, or the same feed is read already.
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

    /// All that are here; nobody comes in any more.
    pub(super) fn end(&mut self) -> Vec<Arc<Reader>> {
        self.over = true;
        std::mem::take(&mut self.readers)
    }
}

impl Connection {
    /// Lets a reader into its feed, and sends it these frames first. False where it may not come in.
    pub(super) fn take_in(self: &Arc<Self>, reader: &Arc<Reader>, first: &[Frame]) -> bool {
        let sent = {
            // Under the lock, so that an end at this moment comes after CONNECT and not before it.
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

    /// Puts a reader out of its feed, where it is in it.
    pub(super) fn put_out(&self, namespace: &str) {
        let mut readers = self.readers.lock();
        if let Some(reader) = readers.remove(namespace) {
            reader.gone();
        }
        if readers.is_empty() {
            self.node.readers.remove(&self.id);
        }
    }

    /// Out of every feed, and into none any more.
    pub(super) fn end_readers(&self) -> Vec<Arc<Reader>> {
        let mut readers = self.readers.lock();
        let ended = readers.end();
        ended.iter().for_each(|reader| reader.gone());
        self.node.readers.remove(&self.id);
        ended
    }
}
