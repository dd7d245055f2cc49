//! One Engine.IO connection, from its first byte to its last: its state, its memberships, and its end.
//!
//! Packets: [`super::receive`] · joining: [`super::connect`] · permanent disconnects: [`super::send_away`] · token
//! expiry: [`super::renew`] · feeds: [`super::readers`].

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use super::{Client, Reader, inbox::Inbox, readers::Readers, session::Session};
use crate::{
    cluster::{
        ids::{SessionRef, Incarnation, IndexEntry, SessionId},
        sessions::Held,
    },
    engine::{Frame, Outbox},
    limits::{Place, User},
    node::Node,
    ops::metrics,
};

/// Most namespaces that refused a connection and are remembered for its end.
const REFUSED_MAX: usize = 16;

/// See the module. Its session begins with the first token that a namespace accepts.
pub struct Connection {
    /// The session that this connection is or will be.
    pub id: SessionId,
    pub(super) node: Arc<Node>,
    pub(super) outbox: Outbox,
    /// The handshake's token.
    pub(super) token: Option<Box<str>>,
    /// Its place among its address's connections without a session; released once it has a session or a feed's token.
    pub(super) place: Option<Arc<Place>>,
    pub(super) inbox: Mutex<Inbox>,
    pub(super) session: Mutex<Session>,
    pub(super) readers: Mutex<Readers>,
    /// Namespaces whose last answer to this client was a permanent refusal.
    refused: Mutex<Vec<Box<str>>>,
}

impl Connection {
    /// A new connection, in no namespace yet. It is closed if it does not join one in time.
    #[must_use]
    pub fn open(node: &Arc<Node>, outbox: Outbox, token: Option<Box<str>>, place: Option<Arc<Place>>) -> Arc<Self> {
        let connection = Arc::new(Self {
            id: SessionId::random(),
            node: Arc::clone(node),
            outbox,
            token,
            place,
            inbox: Mutex::new(Inbox::new(node.settings.limits.flood())),
            session: Mutex::new(Session::default()),
            readers: Mutex::default(),
            refused: Mutex::default(),
        });
        node.idle.watch(&connection);
        node.gate.opened();
        connection
    }

    /// The transport is gone.
    pub fn closed(&self) {
        self.node.gate.closed();
        self.give_back_place();
        self.end();
    }

    /// Stops counting the connection among its address's connections without a session.
    pub(super) fn give_back_place(&self) {
        if let Some(place) = &self.place {
            place.give_back();
        }
    }

    /// A token of this user was accepted: the user's budgets apply from now on.
    pub(super) fn belongs_to(&self, user: &Arc<str>) -> Arc<User> {
        let user = self.node.gate.user(&self.node.settings.limits, user);
        self.inbox.lock().belongs_to(&user);
        user
    }

    /// The client asks for a namespace again: forgets its earlier refusal.
    pub(super) fn asks_for(&self, namespace: &str) {
        self.refused.lock().retain(|refused| **refused != *namespace);
    }

    /// The namespace refused the client permanently.
    pub(super) fn refused_by(&self, namespace: &str) {
        let mut refused = self.refused.lock();
        if refused.len() < REFUSED_MAX {
            refused.push(namespace.into());
        }
    }

    /// Closes the transport after its queue was written. A stock client reconnects by itself.
    ///
    /// Clients before 4.1 treat the end of the transport as a lost connection even in a namespace that refused them,
    /// and stay away only after a DISCONNECT. It is sent here and not right after the CONNECT_ERROR: a client that
    /// retries at once with a better token would take it for the answer to that.
    pub fn close(&self) {
        for namespace in std::mem::take(&mut *self.refused.lock()) {
            // A client with a full queue does not read: nothing can be sent to it.
            let _ = self.outbox.send(&Frame::disconnect(&namespace));
        }
        self.let_go();
        self.end();
        self.outbox.close();
    }

    /// Too many bytes wait for the client, or for too long: closes the transport at once, so that the client reconnects
    /// by itself, and takes it out of every namespace without waiting for the transport to end.
    pub fn too_slow(&self) {
        // A sender calls this for every frame until the connection is gone: count it once.
        let is_over = self.session.lock().is_ended() && self.readers.lock().is_empty();
        if !is_over {
            metrics::TOO_SLOW.add(1);
            tracing::info!(session = %self.id, "closing a client that does not read as fast as it is sent to");
        }
        self.cut_off();
    }

    /// Ends the connection at once and drops the bytes queued for the client.
    pub(super) fn cut_off(&self) {
        self.let_go();
        self.end();
        self.outbox.abort();
    }

    /// The connection is in no namespace, unless it joins one: since `now`, unless it was in none before. True if the
    /// caller must put it on the list of such connections.
    pub fn idle_from(&self, now: Instant) -> bool {
        let mut session = self.session.lock();
        session.idle_from.get_or_insert(now);
        !std::mem::replace(&mut session.idle_listed, true)
    }

    /// The connection is off the list of those in no namespace.
    pub fn idle_unlisted(&self) {
        self.session.lock().idle_listed = false;
    }

    /// Since when the connection is in no namespace; `None` while it is in one.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let idle_from = self.session.lock().idle_from;
        idle_from.filter(|_| self.is_idle())
    }

    /// A namespace admits the connection.
    pub(super) fn admitted(&self, session: &mut Session) {
        session.idle_from = None;
        self.outbox.admitted();
    }

    /// Whether the connection is in no namespace and no feed, so that it may be closed.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.session.lock().sockets.is_empty() && self.readers.lock().is_empty()
    }

    /// This connection's sockets, one for each namespace.
    #[must_use]
    pub fn sockets(&self) -> Vec<Arc<Client>> {
        self.session.lock().sockets.clone()
    }

    /// The session that this connection holds in the cluster; `None` until its claim is complete and once it has ended.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        let (user, generation) = self.session.lock().live()?;
        Some(Held { holding: SessionRef { user, session: self.id.clone() }, generation })
    }

    /// Its session was written again under `incarnation`; false if it has ended meanwhile.
    #[must_use]
    pub fn reasserted(&self, incarnation: &Incarnation) -> bool {
        self.session.lock().reassert(incarnation)
    }

    pub(super) fn socket(&self, namespace: &str) -> Option<Arc<Client>> {
        self.session.lock().sockets.iter().find(|client| &*client.namespace.name == namespace).cloned()
    }

    pub(super) fn reader(&self, namespace: &str) -> Option<Arc<Reader>> {
        self.readers.lock().find(namespace).cloned()
    }

    pub(super) fn leave(&self, namespace: &str) {
        let left = self.session.lock().take_socket(namespace);
        match left {
            Some(client) => self.node.remove_member(&client),
            None => self.put_out(namespace),
        }
    }

    /// Leaves every namespace and feed, and ends the session. Does nothing the second time.
    fn end(&self) {
        self.end_readers();
        self.end_session();
    }

    /// Leaves every namespace but feeds, and ends the session. Returns the sockets that it had: none the second time.
    pub(super) fn end_session(&self) -> Vec<Arc<Client>> {
        let (sockets, departure) = {
            let mut session = self.session.lock();
            self.node.expiry.forget(session.looked_at, &self.id);
            session.end()
        };
        if self.readers.lock().is_empty() {
            self.inbox.lock().clear();
        }
        for client in &sockets {
            self.node.remove_member(client);
        }
        self.node.connections.remove(&self.id);
        if let Some((user, incarnation)) = departure {
            let holding = SessionRef { user, session: self.id.clone() };
            self.node.departures.push(IndexEntry::Session(holding), incarnation);
        }
        sockets
    }
}
