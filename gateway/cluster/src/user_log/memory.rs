//! [`crate::user_log`] for several nodes of one process. A user's log is kept with the user's sessions, behind their
//! lock, and as long as the user has some.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    Unavailable,
    log::{Page, Position},
    once::OnceKeys,
    sessions::memory::MemorySessions,
    wire::UserEvent,
};

/// All users' logs.
#[derive(Clone)]
pub struct MemoryUserLog {
    sessions: MemorySessions,
    once: Arc<Mutex<OnceKeys>>,
}

impl MemoryUserLog {
    pub(crate) fn new(sessions: MemorySessions) -> Self {
        Self { sessions, once: Arc::default() }
    }

    pub(crate) fn send(
        &self,
        users: &[Arc<str>],
        event: &UserEvent,
        once: Option<&str>,
    ) -> Result<Vec<usize>, Unavailable> {
        let send = |user| self.sessions.send(user, event);
        Ok(match once {
            None => users.iter().map(send).collect(),
            Some(once) => {
                let mut keys = self.once.lock();
                // The length makes it unambiguous.
                let key = |user: &Arc<str>| format!("{}\n{user}\n{once}", user.len());
                users.iter().map(|user| keys.once(&key(user), || send(user)).0).collect()
            }
        })
    }

    pub(crate) fn read(&self, user: &Arc<str>, seen: Position) -> Result<Page<Option<UserEvent>>, Unavailable> {
        Ok(self.sessions.read_log(user, seen))
    }
}
