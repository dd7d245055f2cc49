//! A connection's places in feeds. They outlive its session, which they are no part of, and end with the transport.

use std::sync::Arc;

use super::Reader;
use crate::event::Addressee as _;

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

    pub(super) fn first(&self) -> Option<&Arc<Reader>> {
        self.readers.first()
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
