//! Connections by the Unix second of the next check of their tokens.

use std::collections::BTreeSet;

use jackfield_cluster::ids::SessionKey;
use parking_lot::Mutex;

/// See the module. A connection that ends is removed.
#[derive(Default)]
pub(crate) struct Expiry {
    due: Mutex<BTreeSet<(u64, SessionKey)>>,
}

impl Expiry {
    /// Plans a check of this connection at this second.
    pub(crate) fn watch(&self, at: u64, connection: SessionKey) {
        self.due.lock().insert((at, connection));
    }

    /// Cancels the check that is planned at this second.
    pub(crate) fn forget(&self, at: u64, connection: SessionKey) {
        self.due.lock().remove(&(at, connection));
    }

    /// Takes at most `max` connections that are due.
    pub(crate) fn take(&self, now: u64, max: usize) -> Vec<SessionKey> {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some((at, _)) = due.first()
            && *at <= now
        {
            taken.extend(due.pop_first().map(|(_, connection)| connection));
        }
        taken
    }
}
