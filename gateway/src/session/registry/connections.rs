//! Connections by session, for evictions, re-registering and the drain, and the census of their users.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU64,
    sync::Arc,
};

use hashbrown::HashTable;
use jackfield_cluster::ids::SessionKey;
use parking_lot::RwLock;

use super::census::{Census, SAMPLE, hash};

/// The user's hash. Two users with the same one, which 64 bits of SHA-256 make unlikely, count as one. Never 0, so that
/// an entry has no room for more than these bits.
type User = NonZeroU64;

/// A connection that can be listed by its session.
pub(crate) trait Listed {
    fn session(&self) -> SessionKey;
}

/// See the module.
pub(crate) struct Connections<C> {
    entries: RwLock<Entries<C>>,
}

struct Entries<C> {
    /// By session. The ids themselves are only in the connections.
    listed: HashTable<Entry<C>>,
    hasher: RandomState,
    /// How many sessions each user has here, in the order of the hashes.
    users: BTreeMap<User, u32>,
}

struct Entry<C> {
    connection: Arc<C>,
    user: Option<User>,
}

impl<C: Listed> Connections<C> {
    /// Adds a connection under its session, with its user if known.
    pub(crate) fn insert(&self, connection: &Arc<C>, user: Option<&Arc<str>>) {
        let user = user.map(|user| user_hash(user));
        let entry = Entry { connection: Arc::clone(connection), user };
        let mut entries = self.entries.write();
        entries.remove(connection.session());
        if let Some(user) = user {
            *entries.users.entry(user).or_default() += 1;
        }
        let Entries { listed, hasher, .. } = &mut *entries;
        let hash = |entry: &Entry<C>| hasher.hash_one(entry.connection.session());
        listed.insert_unique(hash(&entry), entry, hash);
    }

    /// Removes a session's connection.
    pub(crate) fn remove(&self, session: SessionKey) {
        self.entries.write().remove(session);
    }

    /// A session's connection, if it is on this node.
    pub(crate) fn find(&self, session: SessionKey) -> Option<Arc<C>> {
        let entries = self.entries.read();
        let entry = entries.listed.find(entries.hasher.hash_one(session), |entry| entry.is_of(session))?;
        Some(Arc::clone(&entry.connection))
    }

    /// All connections at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        self.entries.read().listed.iter().map(|entry| Arc::clone(&entry.connection)).collect()
    }

    /// Whether this user has a session here.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.entries.read().users.contains_key(&user_hash(user))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.read().listed.len()
    }

    /// The users that have a connection.
    pub(crate) fn census(&self) -> Census {
        let users = &self.entries.read().users;
        Census { users: users.len(), lowest: users.keys().take(SAMPLE).map(|user| user.get()).collect() }
    }
}

fn user_hash(user: &str) -> User {
    NonZeroU64::new(hash(user)).unwrap_or(NonZeroU64::MIN)
}

impl<C: Listed> Entry<C> {
    fn is_of(&self, session: SessionKey) -> bool {
        self.connection.session() == session
    }
}

impl<C: Listed> Entries<C> {
    fn remove(&mut self, session: SessionKey) {
        let hash = self.hasher.hash_one(session);
        let Ok(entry) = self.listed.find_entry(hash, |entry| entry.is_of(session)) else { return };
        let (Entry { user, .. }, _) = entry.remove();
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
        let entries = Entries { listed: HashTable::new(), hasher: RandomState::new(), users: BTreeMap::new() };
        Self { entries: RwLock::new(entries) }
    }
}
