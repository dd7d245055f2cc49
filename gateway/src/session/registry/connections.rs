//! Connections by session, for evictions, re-registering and the drain, and the census of their users.

use std::{
    collections::{BTreeMap, btree_map},
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
    /// The sessions that each user has here, in the order of the hashes.
    users: BTreeMap<User, Sessions>,
}

/// One user's sessions. Most users have one, and need no memory beside it.
enum Sessions {
    One(SessionKey),
    Several(Box<Several>),
}

struct Several(Vec<SessionKey>);

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
            entries.list(user, connection.session());
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
        self.entries.read().find(session).cloned()
    }

    /// All connections at this moment.
    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        self.entries.read().listed.iter().map(|entry| Arc::clone(&entry.connection)).collect()
    }

    /// Whether this user has a session here.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.entries.read().users.contains_key(&user_hash(user))
    }

    /// The connections that may have a session of this user here: those whose users have the same hash.
    pub(crate) fn of(&self, user: &str) -> Vec<Arc<C>> {
        let entries = self.entries.read();
        let sessions = match entries.users.get(&user_hash(user)) {
            None => &[][..],
            Some(Sessions::One(session)) => std::slice::from_ref(session),
            Some(Sessions::Several(several)) => &several.0,
        };
        sessions.iter().filter_map(|session| entries.find(*session)).cloned().collect()
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
    fn find(&self, session: SessionKey) -> Option<&Arc<C>> {
        let entry = self.listed.find(self.hasher.hash_one(session), |entry| entry.is_of(session))?;
        Some(&entry.connection)
    }

    fn list(&mut self, user: User, session: SessionKey) {
        match self.users.entry(user) {
            btree_map::Entry::Vacant(entry) => drop(entry.insert(Sessions::One(session))),
            btree_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                Sessions::Several(several) => several.0.push(session),
                one @ Sessions::One(_) => {
                    let Sessions::One(first) = *one else { return };
                    *one = Sessions::Several(Box::new(Several(vec![first, session])));
                }
            },
        }
    }

    fn remove(&mut self, session: SessionKey) {
        let hash = self.hasher.hash_one(session);
        let Ok(entry) = self.listed.find_entry(hash, |entry| entry.is_of(session)) else { return };
        let (Entry { user, .. }, _) = entry.remove();
        let Some(user) = user else { return };
        let is_last = match self.users.get_mut(&user) {
            Some(Sessions::Several(several)) => {
                several.0.retain(|other| *other != session);
                several.0.is_empty()
            }
            Some(Sessions::One(_)) => true,
            None => false,
        };
        if is_last {
            self.users.remove(&user);
        }
    }
}

impl<C> Default for Connections<C> {
    fn default() -> Self {
        let entries = Entries { listed: HashTable::new(), hasher: RandomState::new(), users: BTreeMap::new() };
        Self { entries: RwLock::new(entries) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    struct Session(SessionKey);

    impl Listed for Session {
        fn session(&self) -> SessionKey {
            self.0
        }
    }

    #[test]
    fn a_user_with_one_session_takes_little() {
        assert!(size_of::<Sessions>() <= 16);
    }

    proptest! {
        /// Any sessions that come, come again, and go: each user has exactly those that are here.
        #[test]
        fn a_users_sessions_are_found(steps in prop::collection::vec((0_u8..12, 0_u8..3, any::<bool>()), 1..60)) {
            let connections = Connections::default();
            let mut model = std::collections::HashMap::new();
            for (number, user, comes) in steps {
                let session = SessionKey::from([number; 15]);
                match comes {
                    true => {
                        connections.insert(&Arc::new(Session(session)), Some(&user.to_string().into()));
                        model.insert(number, user);
                    }
                    false => {
                        connections.remove(session);
                        model.remove(&number);
                    }
                }
                for user in 0..3 {
                    let of = connections.of(&user.to_string());
                    let found: BTreeSet<_> = of.iter().map(|one| one.0).collect();
                    let theirs = model.iter().filter(|(_, other)| **other == user).map(|(number, _)| [*number; 15].into());
                    prop_assert_eq!(of.len(), found.len());
                    prop_assert_eq!(&found, &theirs.collect());
                    prop_assert_eq!(connections.has(&user.to_string()), !found.is_empty());
                }
            }
        }
    }
}
