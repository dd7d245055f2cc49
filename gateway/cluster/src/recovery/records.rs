//! One user's records in memory.

use std::sync::Arc;

use jackfield_shared::claims::Marks;
use tokio::time::Instant;

use crate::{
    ids::{RecordId, SessionId, SocketId},
    recovery::record::{Place, Record, Wish},
};

/// See the module.
#[derive(Default)]
pub(crate) struct Records(Vec<Kept>);

struct Kept {
    id: RecordId,
    session: SessionId,
    /// When it is over; `None` while its session lives.
    until: Option<Instant>,
    sockets: Vec<(Arc<str>, SocketId)>,
    stays: Vec<(Arc<str>, u32, Arc<str>)>,
    watched: Vec<(Arc<str>, Vec<Arc<str>>)>,
    token: Marks,
}

impl Kept {
    fn record(&self, namespace: &str) -> Option<Record> {
        let (_, socket) = self.sockets.iter().find(|(name, _)| **name == *namespace)?;
        let stays = self.stays.iter().filter(|(name, ..)| **name == *namespace);
        let rooms = stays.map(|(_, number, room)| (*number, Arc::clone(room))).collect();
        let watched = self.watched.iter().find(|(name, _)| **name == *namespace);
        let watched = watched.map(|(_, users)| users.clone()).unwrap_or_default();
        Some(Record { socket: *socket, rooms, watched, before: None, token: self.token })
    }

    fn forget(&mut self, namespace: &str) {
        self.sockets.retain(|(name, _)| **name != *namespace);
        self.stays.retain(|(name, ..)| **name != *namespace);
        self.watched.retain(|(name, _)| **name != *namespace);
    }

    fn take(&mut self, session: &SessionId, token: Marks, namespace: &str) -> Option<Record> {
        let record = self.record(namespace)?;
        self.token = token;
        self.until = None;
        let before = std::mem::replace(&mut self.session, session.clone());
        Some(Record { before: Some(before), ..record })
    }
}

impl Records {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the user may come back to a record.
    pub(crate) fn has_away(&self, now: Instant) -> bool {
        self.0.iter().any(|kept| kept.until.is_some_and(|until| until > now))
    }

    /// Removes those that are over.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.0.retain(|kept| kept.until.is_none_or(|until| until > now));
    }

    /// The session of a record that has a socket in the namespace.
    pub(crate) fn session_of(&mut self, id: RecordId, namespace: &str) -> Option<SessionId> {
        self.get(id).filter(|kept| kept.record(namespace).is_some()).map(|kept| kept.session.clone())
    }

    pub(crate) fn is_of_another(&mut self, id: RecordId, session: &SessionId) -> bool {
        self.get(id).is_some_and(|kept| kept.session != *session)
    }

    /// Passes the wanted record on to a session, or begins a new one for it.
    pub(crate) fn claim(&mut self, wish: &Wish, session: &SessionId) -> Option<Record> {
        let found = wish.resume.and_then(|id| self.get(id)?.take(session, wish.token, &wish.namespace));
        if found.is_none() {
            self.begin(session, wish.new, &wish.namespace, wish.socket, wish.token);
        }
        found
    }

    /// The session has ended: keeps its record until then. False if it has none.
    pub(crate) fn keep_until(&mut self, session: &SessionId, until: Instant) -> bool {
        let of_it = self.0.iter_mut().find(|kept| kept.session == *session);
        of_it.map(|kept| kept.until = Some(until)).is_some()
    }

    /// Removes the session's record.
    pub(crate) fn end(&mut self, session: &SessionId) {
        self.0.retain(|kept| kept.session != *session);
    }

    /// The record's part about a namespace, if the record is the session's.
    pub(crate) fn resume(&mut self, id: RecordId, session: &SessionId, namespace: &str) -> Option<Record> {
        self.of(id, session)?.record(namespace)
    }

    pub(crate) fn forget_socket(&mut self, id: RecordId, session: &SessionId, namespace: &str) {
        if let Some(kept) = self.of(id, session) {
            kept.forget(namespace);
        }
    }

    pub(crate) fn watch(&mut self, id: RecordId, session: &SessionId, namespace: &str, users: &[Arc<str>]) {
        if let Some(kept) = self.of(id, session) {
            kept.watched.retain(|(name, _)| **name != *namespace);
            kept.watched.push((namespace.into(), users.to_vec()));
        }
    }

    pub(crate) fn enter(&mut self, id: RecordId, session: &SessionId, place: Place<'_>) {
        self.leave(id, session, place);
        if let Some(kept) = self.of(id, session) {
            kept.stays.push((place.namespace.into(), place.number, place.room.into()));
        }
    }

    pub(crate) fn leave(&mut self, id: RecordId, session: &SessionId, place: Place<'_>) {
        if let Some(kept) = self.of(id, session) {
            kept.stays.retain(|(name, number, _)| (&**name, *number) != (place.namespace, place.number));
        }
    }

    pub(crate) fn begin(&mut self, session: &SessionId, id: RecordId, namespace: &str, socket: SocketId, token: Marks) {
        self.0.retain(|kept| kept.session != *session || kept.id == id);
        if self.get(id).is_none() {
            let session = session.clone();
            let (sockets, stays, watched) = (Vec::new(), Vec::new(), Vec::new());
            self.0.push(Kept { id, session, until: None, sockets, stays, watched, token });
        }
        if let Some(kept) = self.get(id) {
            kept.token = token;
            kept.forget(namespace);
            kept.sockets.push((namespace.into(), socket));
        }
    }

    fn get(&mut self, id: RecordId) -> Option<&mut Kept> {
        self.0.iter_mut().find(|kept| kept.id == id)
    }

    fn of(&mut self, id: RecordId, session: &SessionId) -> Option<&mut Kept> {
        self.get(id).filter(|kept| kept.session == *session)
    }
}
