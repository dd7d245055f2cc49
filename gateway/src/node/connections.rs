//! Connections by session, so that an eviction, a reassertion or the drain finds them, and the number of their users.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;

use super::census::{Census, SAMPLE, hash};
use crate::{client::Connection, cluster::ids::SessionId};

/// A user, after the user's hash, so that the lowest hashes come first.
type User = (u64, Arc<str>);

/// See the module.
#[derive(Default)]
pub struct Connections {
    entries: RwLock<Entries>,
}

#[derive(Default)]
struct Entries {
    by_session: HashMap<SessionId, Entry>,
    /// How many sessions each user has here.
    users: BTreeMap<User, usize>,
}

struct Entry {
    connection: Arc<Connection>,
    user: Option<User>,
}

impl Connections {
    /// Adds a connection under its session, with its user if known.
    pub fn insert(&self, connection: &Arc<Connection>, user: Option<&Arc<str>>) {
        let user = user.map(|user| (hash(user), Arc::clone(user)));
        let entry = Entry { connection: Arc::clone(connection), user: user.clone() };
        let mut entries = self.entries.write();
        if let Some(user) = user {
            *entries.users.entry(user).or_default() += 1;
        }
        if let Some(before) = entries.by_session.insert(connection.id.clone(), entry) {
            entries.forget(before.user.as_ref());
        }
    }

    /// Removes a session's connection.
    pub fn remove(&self, session: &SessionId) {
        let mut entries = self.entries.write();
        if let Some(entry) = entries.by_session.remove(session) {
            entries.forget(entry.user.as_ref());
        }
    }

    /// A session's connection, if it is on this node.
    #[must_use]
    pub fn find(&self, session: &SessionId) -> Option<Arc<Connection>> {
        self.entries.read().by_session.get(session).map(|entry| Arc::clone(&entry.connection))
    }

    /// All connections at this moment.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.entries.read().by_session.values().map(|entry| Arc::clone(&entry.connection)).collect()
    }

    /// Number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.read().by_session.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The users that have a connection.
    #[must_use]
    pub fn census(&self) -> Census {
        let users = &self.entries.read().users;
        Census { users: users.len(), lowest: users.keys().take(SAMPLE).map(|(hash, _)| *hash).collect() }
    }
}

impl Entries {
    fn forget(&mut self, user: Option<&User>) {
        let Some(user) = user else { return };
        if let Some(count) = self.users.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(user);
            }
        }
    }
}
