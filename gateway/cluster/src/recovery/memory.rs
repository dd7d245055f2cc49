//! [`crate::recovery`] for several nodes of one process: a user's records are kept with the user's sessions, behind
//! their lock.

use std::sync::Arc;

use jackfield_shared::claims::Marks;

use crate::{
    Unavailable,
    ids::{RecordId, SessionRef, SocketId},
    recovery::{
        record::{Place, Record},
        records::Records,
    },
    sessions::memory::MemorySessions,
};

/// All records.
#[derive(Clone)]
pub struct MemoryRecovery {
    sessions: MemorySessions,
}

impl MemoryRecovery {
    pub(crate) fn new(sessions: MemorySessions) -> Self {
        Self { sessions }
    }

    pub(crate) fn begin(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
        socket: SocketId,
        token: Marks,
    ) -> Result<(), Unavailable> {
        let begin = |records: &mut Records| records.begin(&session.session, record, namespace, socket, token);
        self.sessions.with_records(&session.user, begin);
        Ok(())
    }

    pub(crate) fn resume(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
    ) -> Result<Option<Record>, Unavailable> {
        let found = |records: &mut Records| records.resume(record, &session.session, namespace);
        Ok(self.sessions.with_records(&session.user, found).flatten())
    }

    pub(crate) fn forget(&self, session: &SessionRef, record: RecordId, namespace: &str) -> Result<(), Unavailable> {
        self.sessions.with_records(&session.user, |records| records.forget_socket(record, &session.session, namespace));
        Ok(())
    }

    pub(crate) fn watch(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
        users: &[Arc<str>],
    ) -> Result<(), Unavailable> {
        let watch = |records: &mut Records| records.watch(record, &session.session, namespace, users);
        self.sessions.with_records(&session.user, watch);
        Ok(())
    }

    pub(crate) fn enter(&self, session: &SessionRef, record: RecordId, place: Place<'_>) -> Result<(), Unavailable> {
        self.sessions.with_records(&session.user, |records| records.enter(record, &session.session, place));
        Ok(())
    }

    pub(crate) fn leave(&self, session: &SessionRef, record: RecordId, place: Place<'_>) -> Result<(), Unavailable> {
        self.sessions.with_records(&session.user, |records| records.leave(record, &session.session, place));
        Ok(())
    }
}
