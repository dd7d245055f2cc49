//! One Engine.IO connection, from its first byte to its last.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use jackfield_shared::{
    ids::new_id,
    time::{now_rfc3339, rfc3339_of_unix, unix_now},
};
use parking_lot::Mutex;
use serde_json::json;

use super::{
    Client, Reader, connect,
    inbox::{Arrival, Inbox},
    readers::Readers,
    session::Session,
    validity::Step,
};
use crate::{
    cluster::{
        PATIENCE,
        ids::{Holding, Incarnation, IndexEntry, SessionId},
        patience::{self, Wait},
        sessions::Held,
    },
    engine::{Frame, Inbound, Outbox},
    event::{self, Addressee, EventError},
    node::Node,
    ops::metrics,
};

/// See the module. Its session begins with the first accepted token.
pub struct Connection {
    /// The session that this connection is or will be.
    pub id: SessionId,
    pub(super) node: Arc<Node>,
    pub(super) outbox: Outbox,
    /// The handshake's token.
    pub(super) token: Option<Box<str>>,
    inbox: Mutex<Inbox>,
    pub(super) session: Mutex<Session>,
    readers: Mutex<Readers>,
}

impl Connection {
    /// A new connection, in no namespace yet. It is closed where it does not join one in time.
    #[must_use]
    pub fn open(node: &Arc<Node>, outbox: Outbox, token: Option<Box<str>>) -> Arc<Self> {
        let connection = Arc::new(Self {
            id: SessionId::random(),
            node: Arc::clone(node),
            outbox,
            token,
            inbox: Mutex::new(Inbox::new(node.settings.limits.flood())),
            session: Mutex::new(Session::default()),
            readers: Mutex::default(),
        });
        node.idle.watch(&connection);
        node.gate.opened();
        connection
    }

    /// A packet came. Never waits: it is called on the transport's reader.
    pub fn receive(self: &Arc<Self>, packet: Inbound) {
        let limits = &self.node.settings.limits;
        let arrival = self.inbox.lock().push(packet, limits.flood(), limits.inbox as usize);
        match arrival {
            Arrival::Queued => {}
            Arrival::Start => {
                self.node.lifecycle.spawn(Arc::clone(self).drain());
            }
            Arrival::Limited { packet, retry_after_ms } => {
                metrics::RATE_LIMITED.add(1);
                self.refuse(&packet, &EventError::RateLimited { retry_after_ms });
            }
            Arrival::Flooding => {
                let error = EventError::RateLimited { retry_after_ms: 0 };
                self.send_away("flooding", |client| event::error_frame(client, &error, ""));
                self.send_readers_away(&error);
            }
        }
    }

    /// The transport is gone.
    pub fn closed(&self) {
        self.node.gate.closed();
        self.end();
    }

    /// Closes the transport. A stock client comes back by itself.
    pub fn close(&self) {
        self.end();
        self.outbox.close();
    }

    /// The connection is about to be closed: nothing more is taken of what comes. What has come is still handled.
    pub fn let_go(&self) {
        self.inbox.lock().shut();
    }

    /// Whether [`Connection::let_go`] was called.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        self.inbox.lock().is_shut()
    }

    /// Whether what came was handled, and [`Connection::close`] would cut off no answer.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.inbox.lock().is_done() && self.outbox.is_flushed(self.node.settings.limits.queue as usize)
    }

    /// Another session of the user took this one's place.
    pub fn evicted(self: &Arc<Self>) {
        if self.session.lock().evict_later() {
            return;
        }
        metrics::EVICTED.add(1);
        let replaced = json!({ "at": now_rfc3339() });
        self.send_away("replaced", |client| Frame::event(&client.namespace.name, "session:replaced", &replaced));
    }

    /// A backend ended the session: the client is told why, and does not come back by itself.
    pub fn ended(self: &Arc<Self>, reason: &str) {
        let ended = json!({ "reason": reason, "at": now_rfc3339() });
        self.send_away("ended_by_backend", |client| Frame::event(&client.namespace.name, "session:ended", &ended));
    }

    /// Says why on every socket, then sends the client away for good. Feeds are no part of its session, and go on.
    pub(super) fn send_away(self: &Arc<Self>, reason: &'static str, last_word: impl Fn(&Client) -> Option<Frame>) {
        tracing::debug!(session = %self.id, reason, "sending a client away");
        metrics::SENT_AWAY.add_for([reason], 1);
        for client in self.sockets() {
            if let Some(frame) = last_word(&client) {
                client.send(&frame);
            }
            client.send(&Frame::disconnect(&client.namespace.name));
        }
        self.end_session();
        // A stock client closes the transport itself; another is given a while.
        self.node.idle.watch(self);
    }

    /// Says why in every feed, then sends the client away for good from those too.
    fn send_readers_away(self: &Arc<Self>, error: &EventError) {
        for reader in self.end_readers() {
            if let Some(frame) = event::error_frame(&*reader, error, "") {
                reader.send(&frame);
            }
            reader.send(&Frame::disconnect(reader.namespace()));
        }
    }

    /// Lets a reader into its feed, and sends it these frames first. False where it may not come in.
    pub(super) fn take_in(self: &Arc<Self>, reader: &Arc<Reader>, first: &[Frame]) -> bool {
        let sent = {
            // Under the lock, so that an end at this moment comes after CONNECT and not before it.
            let mut readers = self.readers.lock();
            if !readers.add(reader) {
                return false;
            }
            reader.feed.entered();
            self.node.readers.insert(self, None);
            first.iter().try_for_each(|frame| self.outbox.send(frame))
        };
        if sent.is_err() {
            reader.too_slow();
        }
        true
    }

    /// Puts a reader out of its feed, where it is in it.
    pub(super) fn put_out(&self, namespace: &str) {
        let mut readers = self.readers.lock();
        if let Some(reader) = readers.remove(namespace) {
            reader.gone();
        }
        if readers.is_empty() {
            self.node.readers.remove(&self.id);
        }
    }

    /// The connection is in no namespace from now on, unless it joins one.
    pub fn idle_from(&self, now: Instant) {
        self.session.lock().idle_from = Some(now);
    }

    /// Since when the connection is in no namespace; nothing while it is in one.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let idle_from = self.session.lock().idle_from;
        idle_from.filter(|_| self.is_idle())
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

    /// A token of the user was accepted. Returns until when the session lasts, in Unix seconds.
    pub fn renew(&self, expires_at: u64) -> u64 {
        let mut session = self.session.lock();
        session.validity.renew(expires_at);
        // Looked at once more than needed where it was renewed, never later than at its end.
        if session.looked_at == 0 {
            session.looked_at = unix_now();
            self.node.expiry.watch(session.looked_at, &self.id);
        }
        session.validity.expires_at
    }

    /// Tells the client that its token runs out, or sends it away, or looks again later.
    pub fn look_at_token(self: &Arc<Self>) {
        let (step, expires_at) = {
            let mut session = self.session.lock();
            if session.is_ended() {
                return;
            }
            let step = session.validity.step(unix_now());
            let expires_at = session.validity.expires_at;
            session.looked_at = match step {
                Step::Wait(at) => at,
                Step::Tell | Step::Expired => expires_at,
            };
            self.node.expiry.watch(session.looked_at, &self.id);
            (step, expires_at)
        };
        let expiring = json!({ "expiresAt": rfc3339_of_unix(expires_at) });
        match step {
            Step::Wait(_) => {}
            Step::Tell => self.sockets().iter().for_each(|client| client.emit("token:expiring", &expiring)),
            Step::Expired => {
                self.send_away("token_expired", |client| {
                    Frame::event(&client.namespace.name, "token:expired", &expiring)
                });
            }
        }
    }

    async fn drain(self: Arc<Self>) {
        // The back end did not answer the packet before in time. Then what has waited behind it has waited for the back
        // end too, and is not made to wait as long again; else waiting in the queue costs a packet nothing.
        let mut stalled = false;
        loop {
            // Not a `while let`: the lock must be free while the packet is handled.
            let next = self.inbox.lock().pop();
            let Some((came, packet)) = next else { return };
            let since = if stalled { came } else { Instant::now() };
            let mut handling = pin!(patience::allow(since + PATIENCE, self.handle(&packet)));
            if AssertUnwindSafe(handling.as_mut()).catch_unwind().await.is_err() {
                let id = new_id();
                tracing::error!(id, session = %self.id, "a packet's handling panicked");
                self.refuse(&packet, &EventError::Internal { id });
            }
            if let Some(wait) = patience::last_wait(handling) {
                stalled = wait == Wait::InVain;
            }
        }
    }

    async fn handle(self: &Arc<Self>, packet: &Inbound) {
        match packet {
            Inbound::Connect { namespace, auth } => connect::connect(self, namespace, auth.as_ref()).await,
            Inbound::Disconnect { namespace } => {
                self.leave(namespace);
                if self.is_idle() {
                    self.close();
                }
            }
            Inbound::Event { namespace, content, ack } => {
                if let Some(client) = self.socket(namespace) {
                    event::dispatch(&client, content, *ack).await;
                } else if let Some(reader) = self.reader(namespace) {
                    event::dispatch_in_feed(&reader, content, *ack).await;
                }
            }
            Inbound::Malformed => self.refuse(packet, &EventError::Validation("not a packet of the protocol".into())),
        }
    }

    /// Answers a packet with an error, without handling it.
    fn refuse(&self, packet: &Inbound, error: &EventError) {
        match packet {
            Inbound::Event { namespace, content, ack } => {
                if let Some(client) = self.socket(namespace) {
                    event::refuse(&*client, content, *ack, error);
                } else if let Some(reader) = self.reader(namespace) {
                    event::refuse(&*reader, content, *ack, error);
                }
            }
            Inbound::Malformed => {
                let client = self.session.lock().sockets.first().cloned().map(|client| client as Arc<dyn Addressee>);
                let first = client.or_else(|| Some(Arc::clone(self.readers.lock().first()?) as Arc<dyn Addressee>));
                if let Some(first) = first
                    && let Some(frame) = event::error_frame(&*first, error, "")
                {
                    first.send(&frame);
                }
            }
            // The client tries again by itself where its CONNECT was not answered.
            Inbound::Connect { .. } => self.close(),
            Inbound::Disconnect { namespace } => self.leave(namespace),
        }
    }

    fn socket(&self, namespace: &str) -> Option<Arc<Client>> {
        self.session.lock().sockets.iter().find(|client| &*client.namespace.name == namespace).cloned()
    }

    fn reader(&self, namespace: &str) -> Option<Arc<Reader>> {
        self.readers.lock().find(namespace).cloned()
    }

    fn leave(&self, namespace: &str) {
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

    /// Out of every feed, and into none any more.
    fn end_readers(&self) -> Vec<Arc<Reader>> {
        let mut readers = self.readers.lock();
        let ended = readers.end();
        ended.iter().for_each(|reader| reader.gone());
        self.node.readers.remove(&self.id);
        ended
    }

    /// Out of every namespace but feeds, and the session is over. Does nothing the second time.
    fn end_session(&self) {
        let (sockets, departure) = {
            let mut session = self.session.lock();
            self.node.expiry.forget(session.looked_at, &self.id);
            session.end()
        };
        if self.readers.lock().is_empty() {
            self.inbox.lock().clear();
        }
        for client in sockets {
            self.node.remove_member(&client);
        }
        self.node.connections.remove(&self.id);
        if let Some((user, incarnation)) = departure {
            let holding = Holding { user, session: self.id.clone() };
            self.node.departures.push(IndexEntry::Session(holding), incarnation);
        }
    }
}
