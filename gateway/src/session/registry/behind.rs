//! Sessions whose user's log must be read, because events for the user are missing. Bounded by the sessions of the
//! node.

use std::collections::HashSet;

use jackfield_cluster::ids::SessionKey;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub(crate) struct Behind {
    waiting: Mutex<HashSet<SessionKey>>,
    wake: Notify,
}

impl Behind {
    pub(crate) fn push(&self, session: SessionKey) {
        self.waiting.lock().insert(session);
        self.wake.notify_one();
    }

    /// Takes at most `max` sessions.
    pub(crate) fn take(&self, max: usize) -> Vec<SessionKey> {
        self.waiting.lock().extract_if(|_| true).take(max).collect()
    }

    /// Waits until a session was added.
    pub(crate) async fn pushed(&self) {
        self.wake.notified().await;
    }
}
