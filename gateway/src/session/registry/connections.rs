//! Connections by session, for evictions, re-registering and the drain, and the census of their users.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jackfield_cluster::ids::SessionId;
use parking_lot::RwLock;

use super::census::{Census, SAMPLE, hash};

/// The user's hash. Two users with the same one, which 64 bits of SHA-256 make unlikely, count as one.
type User = u64;

/// See the module.
pub(crate) struct Connections<C> {
    entries: RwLock<Entries<C>>,
}

struct Entries<C> {
    by_session: HashMap<SessionId, Entry<C>>,
    /// How many sessions each user has here, in the order of the hashes.
    users: BTreeMap<User, u32>,
}

struct Entry<C> {
    connection: Arc<C>,
    user: Option<User>,
}

impl<C> Connections<C> {
    /// Adds a connection under its session, with its user if known.
    pub(crate) fn insert(&self, session: &SessionId, connection: &Arc<C>, user: Option<&Arc<str>>) {
        let user = user.map(|user| hash(user));
        let entry = Entry { connection: Arc::clone(connection), user };
        let mut entries = self.entries.write();
        if let Some(user) = user {
            *entries.users.entry(user).or_default() += 1;
        }
        if let Some(before) = entries.by_session.insert(session.clone(), entry) {
            entries.forget(before.user);
        }
    }

    /// Removes a session's connection.
    pub(crate) fn remove(&self, session: &SessionId) {
        let mut entries = self.entries.write();
        if let Some(entry) = entries.by_session.remove(session) {
            entries.forget(entry.user);
        }
    }

    /// A session's connection, if it is on this node.
    pub(crate) fn find(&self, session: &SessionId) -> Option<Arc<C>> {
        self.entries.read().by_session.get(session).map(|entry| Arc::clone(&entry.connection))
    }

    /// All connections at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        self.entries.read().by_session.values().map(|entry| Arc::clone(&entry.connection)).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.read().by_session.len()
    }

    /// The users that have a connection.
    pub(crate) fn census(&self) -> Census {
        let users = &self.entries.read().users;
        Census { users: users.len(), lowest: users.keys().take(SAMPLE).copied().collect() }
    }
}

impl<C> Entries<C> {
    fn forget(&mut self, user: Option<User>) {
        let Some(user) = user else { return };
        if let Some(count) = self.users.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                self.users.remove(&user);
            }
        }
    }
}

impl<C> Default for Connections<C> {
    fn default() -> Self {
        Self { entries: RwLock::new(Entries { by_session: HashMap::new(), users: BTreeMap::new() }) }
    }
}
