//! Connections by the ids that their requests carry.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

/// See the module.
pub(super) struct Table<W>(Mutex<HashMap<Box<str>, Arc<W>>>);

impl<W> Default for Table<W> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<W> Table<W> {
    pub(super) fn insert(&self, sid: Box<str>, connection: &Arc<W>) {
        self.0.lock().insert(sid, Arc::clone(connection));
    }

    pub(super) fn get(&self, sid: &str) -> Option<Arc<W>> {
        self.0.lock().get(sid).cloned()
    }

    pub(super) fn remove(&self, sid: &str) {
        let mut connections = self.0.lock();
        connections.remove(sid);
        if connections.len() * 4 < connections.capacity() {
            let enough = connections.len() * 2;
            connections.shrink_to(enough);
        }
    }
}
