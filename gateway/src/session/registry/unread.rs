//! Sessions that wait for their number of unread notifications: new sessions, and all sessions after a bus gap. Bounded by
//! the sessions of the node.

use std::collections::HashSet;

use jackfield_cluster::ids::SessionRef;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module.
#[derive(Default)]
pub(crate) struct UnreadNotifier {
    waiting: Mutex<HashSet<SessionRef>>,
    wake: Notify,
}

impl UnreadNotifier {
    /// Adds sessions, which soon get the counts of their users.
    pub(crate) fn push(&self, sessions: impl IntoIterator<Item = SessionRef>) {
        self.waiting.lock().extend(sessions);
        self.wake.notify_one();
    }

    /// Takes at most `max` sessions, and drops those that are not live.
    pub(crate) fn take(&self, max: usize, is_live: impl Fn(&SessionRef) -> bool) -> Vec<SessionRef> {
        let mut waiting = self.waiting.lock();
        waiting.extract_if(|_| true).filter(|session| is_live(session)).take(max).collect()
    }

    /// Waits until a session was added.
    pub(crate) async fn pushed(&self) {
        self.wake.notified().await;
    }
}
