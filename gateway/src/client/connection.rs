//! One Engine.IO connection, from its first byte to its last: what it has, what it is in, and how that ends.
//!
//! What comes in: [`super::receive`] · how it joins: [`super::connect`] · how it is sent away: [`super::send_away`] · its
//! token: [`super::renew`] · the feeds it reads: [`super::readers`].

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

use super::{Client, Reader, inbox::Inbox, readers::Readers, session::Session};
use crate::{
    cluster::{
        ids::{Holding, Incarnation, IndexEntry, SessionId},
        sessions::Held,
    },
    engine::{Frame, Outbox},
    limits::{Place, User},
    node::Node,
    ops::metrics,
};

/// Namespaces that refused a connection and are remembered for its end.
const REFUSED_MAX: usize = 16;

/// See the module. Its session begins with the first accepted token.
pub struct Connection {
    /// The session that this connection is or will be.
    pub id: SessionId,
    pub(super) node: Arc<Node>,
    pub(super) outbox: Outbox,
    /// The handshake's token.
    pub(super) token: Option<Box<str>>,
    /// Among the connections of its address that have no session; given back when it has one.
    pub(super) place: Option<Arc<Place>>,
    pub(super) inbox: Mutex<Inbox>,
    pub(super) session: Mutex<Session>,
    pub(super) readers: Mutex<Readers>,
    /// Namespaces whose last answer to this client was a refusal for good.
    refused: Mutex<Vec<Box<str>>>,
}

impl Connection {
    /// A new connection, in no namespace yet. It is closed where it does not join one in time.
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

    /// The connection counts no more among those of its address that have no session.
    pub(super) fn give_back_place(&self) {
        if let Some(place) = &self.place {
            place.give_back();
        }
    }

    /// A token of this user was accepted: the user's budgets hold from now on.
    pub(super) fn belongs_to(&self, user: &Arc<str>) -> Arc<User> {
        let user = self.node.gate.user(&self.node.settings.limits, user);
        self.inbox.lock().belongs_to(&user);
        user
    }

    /// The client asks for a namespace, whatever it was told before.
    pub(super) fn asks_for(&self, namespace: &str) {
        self.refused.lock().retain(|refused| **refused != *namespace);
    }

    /// The namespace refused the client for good.
    pub(super) fn refused_by(&self, namespace: &str) {
        let mut refused = self.refused.lock();
        if refused.len() < REFUSED_MAX {
            refused.push(namespace.into());
        }
    }

    /// Closes the transport after what is queued. A stock client comes back by itself.
    ///
    /// Clients before 4.1 take the end of the transport for a lost connection even in a namespace that refused them, and
    /// stay away only after a DISCONNECT. It is sent here and not behind the CONNECT_ERROR: there it would put out a
    /// client that tries again at once with a better token, whose socket takes it for the answer to that.
    pub fn close(&self) {
        for namespace in std::mem::take(&mut *self.refused.lock()) {
            // A full queue means that the client does not read: nobody is there to be told.
            let _ = self.outbox.send(&Frame::disconnect(&namespace));
        }
        self.let_go();
        self.end();
        self.outbox.close();
    }

    /// More waits for the client than may, or for longer: the transport is closed at once, so that the client comes back
    /// by itself, and it is out of every namespace, however long the transport takes to die.
    pub fn too_slow(&self) {
        // A sender says so for every frame until the connection is gone.
        let is_over = self.session.lock().is_ended() && self.readers.lock().is_empty();
        if !is_over {
            metrics::TOO_SLOW.add(1);
            tracing::info!(session = %self.id, "closing a client that does not read as fast as it is sent to");
        }
        self.cut_off();
    }

    /// Ends the connection at once; what waits for the client is dropped.
    pub(super) fn cut_off(&self) {
        self.let_go();
        self.end();
        self.outbox.abort();
    }

    /// The connection is in no namespace, unless it joins one: since `now`, where that is new. True where it has to be
    /// put on the list of such connections.
    pub fn idle_from(&self, now: Instant) -> bool {
        let mut session = self.session.lock();
        session.idle_from.get_or_insert(now);
        !std::mem::replace(&mut session.idle_listed, true)
    }

    /// The connection is off the list of those in no namespace.
    pub fn idle_unlisted(&self) {
        self.session.lock().idle_listed = false;
    }

    /// Since when the connection is in no namespace; nothing while it is in one.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let idle_from = self.session.lock().idle_from;
        idle_from.filter(|_| self.is_idle())
    }

    /// A namespace lets the connection in.
    pub(super) fn admitted(&self, session: &mut Session) {
        session.idle_from = None;
        self.outbox.admitted();
    }

    /// Whether the connection is in no namespace: then it has no reason to stay.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.session.lock().sockets.is_empty() && self.readers.lock().is_empty()
    }

    /// This connection's sockets, one for each namespace.
    #[must_use]
    pub fn sockets(&self) -> Vec<Arc<Client>> {
        self.session.lock().sockets.clone()
    }

    /// What this connection holds in the cluster, where its claim is through and it lasts.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        let (user, generation) = self.session.lock().live()?;
        Some(Held { holding: Holding { user, session: self.id.clone() }, generation })
    }

    /// What this connection holds was written again under `incarnation`; false where it has ended meanwhile.
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

    /// Out of everything. Does nothing the second time.
    fn end(&self) {
        self.end_readers();
        self.end_session();
    }

    /// Out of every namespace but feeds, and the session is over: the sockets that it had. Does nothing the second time.
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
            let holding = Holding { user, session: self.id.clone() };
            self.node.departures.push(IndexEntry::Session(holding), incarnation);
        }
        sockets
    }
}
