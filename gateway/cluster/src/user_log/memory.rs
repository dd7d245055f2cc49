//! [`crate::user_log`] for several nodes of one process. A user's log is kept with the user's sessions, behind their
//! lock, and as long as the user has some.

use std::sync::Arc;

use crate::{
    Unavailable,
    log::{Page, Position},
    sessions::memory::MemorySessions,
    wire::UserEvent,
};

/// All users' logs.
#[derive(Clone)]
pub struct MemoryUserLog {
    sessions: MemorySessions,
}

impl MemoryUserLog {
    pub(crate) fn new(sessions: MemorySessions) -> Self {
        Self { sessions }
    }

    pub(crate) fn send(&self, users: &[Arc<str>], event: &UserEvent) -> Result<Vec<usize>, Unavailable> {
        Ok(users.iter().map(|user| self.sessions.send(user, event)).collect())
    }

    pub(crate) fn read(&self, user: &Arc<str>, seen: Position) -> Result<Page<Option<UserEvent>>, Unavailable> {
        Ok(self.sessions.read_log(user, seen))
    }
}
