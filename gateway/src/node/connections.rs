//! Connections by session, so that an eviction, a reassertion or the node's end finds them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

use crate::{client::Connection, cluster::ids::SessionId};

/// See the module.
#[derive(Default)]
pub struct Connections {
    by_session: RwLock<HashMap<SessionId, Arc<Connection>>>,
}

impl Connections {
    /// Adds a connection under its session.
    pub fn insert(&self, connection: &Arc<Connection>) {
        self.by_session.write().insert(connection.id.clone(), Arc::clone(connection));
    }

    /// Removes a session's connection.
    pub fn remove(&self, session: &SessionId) {
        self.by_session.write().remove(session);
    }

    /// A session's connection, where it is on this node.
    #[must_use]
    pub fn find(&self, session: &SessionId) -> Option<Arc<Connection>> {
        self.by_session.read().get(session).cloned()
    }

    /// All of them at this moment.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.by_session.read().values().cloned().collect()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_session.read().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
