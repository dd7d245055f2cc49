//! [`super::presence`] for several nodes of one process.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Unavailable,
    bus::Channel,
    bus_memory::MemoryNetwork,
    ids::{Holding, Incarnation, SessionId},
    notice::Notice,
    presence::Saying,
};

/// All users' presence.
#[derive(Clone)]
pub struct MemoryPresence {
    network: MemoryNetwork,
    grace: Duration,
    users: Arc<Mutex<HashMap<Arc<str>, User>>>,
}

#[derive(Default)]
struct User {
    sessions: HashMap<SessionId, Incarnation>,
    /// Set when the last session is gone: when to announce the user offline.
    offline_at: Option<Instant>,
}

impl MemoryPresence {
    pub(super) fn new(network: MemoryNetwork, grace: Duration) -> Self {
        Self { network, grace, users: Arc::default() }
    }

    pub(super) fn enter(&self, holdings: &[Holding], by: &Incarnation, saying: Saying) -> Result<(), Unavailable> {
        let mut users = self.users.lock();
        for Holding { user, session } in holdings {
            let entry = users.entry(Arc::clone(user)).or_default();
            let was_away = entry.sessions.is_empty() && entry.offline_at.take().is_none();
            entry.sessions.insert(session.clone(), by.clone());
            if was_away && saying == Saying::Aloud {
                self.announce(user, true);
            }
        }
        Ok(())
    }

    pub(super) fn leave(&self, holdings: &[Holding], by: &Incarnation) -> Result<(), Unavailable> {
        let mut users = self.users.lock();
        for Holding { user, session } in holdings {
            let Some(entry) = users.get_mut(user) else { continue };
            if entry.sessions.get(session) == Some(by) {
                entry.sessions.remove(session);
                if entry.sessions.is_empty() {
                    entry.offline_at = Some(Instant::now() + self.grace);
                }
            }
        }
        Ok(())
    }

    pub(super) fn settle(&self) -> Result<(), Unavailable> {
        let now = Instant::now();
        self.users.lock().retain(|user, entry| {
            let over = entry.offline_at.is_some_and(|at| at <= now);
            if over {
                self.announce(user, false);
            }
            !over
        });
        Ok(())
    }

    pub(super) fn online(&self, users: &[Arc<str>]) -> Result<Vec<bool>, Unavailable> {
        let known = self.users.lock();
        Ok(users.iter().map(|user| known.contains_key(user)).collect())
    }

    fn announce(&self, user: &Arc<str>, online: bool) {
        let at = chrono::Utc::now().timestamp_millis();
        let notice = Notice::Presence { online, at, user: Arc::clone(user) };
        self.network.publish(&Channel::Presence, &notice.encode());
    }
}
