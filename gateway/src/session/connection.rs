//! One Engine.IO connection: its state, its sockets and subscriptions, and its end.
//!
//! Packets: [`super::receive`] · joining: [`super::connect`], [`super::connect_feed`] · permanent disconnects:
//! [`super::disconnect`] · token expiry: [`super::expiry`].

use std::sync::Arc;

use jackfield_cluster::{
    ids::{Incarnation, SessionKey, SessionRef},
    presence::Stay,
    sessions::{EndReason, HeldSession},
};
use jackfield_engine::{CloseReason, EngineKind, Frame, Outbox};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    Client, Shared, Subscriber,
    connect_auth::ConnectAuth,
    handshake_token::HandshakeToken,
    packet_queue::PacketQueue,
    pending_connects::PendingConnects,
    registry::{Ending, Idler, Listed, Release},
    state::SessionState,
    subscriptions::Subscriptions,
};
use crate::{
    limits::{PendingPermit, User},
    metrics,
};

/// Most permanent refusals of a connection that are remembered until its end.
const REFUSED_MAX: usize = 16;

/// See the module. Its session begins with the first token that a namespace accepts.
pub(crate) struct Connection {
    /// The id of the session that this connection is, or will be.
    pub(crate) id: SessionKey,
    pub(super) shared: Arc<Shared>,
    pub(super) outbox: Outbox,
    pub(super) entry: Mutex<Entry>,
    pub(super) queue: Mutex<PacketQueue>,
    pub(super) session: Mutex<SessionState>,
    pub(super) subscriptions: Mutex<Subscriptions>,
}

/// The state that joins of namespaces need, behind one lock because it is small and rarely used.
pub(super) struct Entry {
    /// The handshake's token, if it carried one.
    pub(super) token: Option<HandshakeToken>,
    /// Permits it to be without a session; released once it has a session, or a subscription with a token.
    permit: Option<Arc<PendingPermit>>,
    /// Boxed, because most connections have none of it.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    /// Namespaces that last answered the client's CONNECT with a permanent refusal.
    refused: Vec<Box<str>>,
    pending: PendingConnects,
}

impl Connection {
    /// A new connection, in no namespace. It is closed if it does not join one in time.
    pub(super) fn open(
        shared: &Arc<Shared>,
        outbox: Outbox,
        token: Option<Box<str>>,
        permit: Option<Arc<PendingPermit>>,
    ) -> Arc<Self> {
        let entry = Entry { token: token.map(HandshakeToken::Text), permit, rare: None };
        let connection = Arc::new(Self {
            id: SessionKey::random(),
            shared: Arc::clone(shared),
            outbox,
            entry: Mutex::new(entry),
            queue: Mutex::new(PacketQueue::new(shared.settings.limits.flood())),
            session: Mutex::default(),
            subscriptions: Mutex::default(),
        });
        shared.idle.watch(&connection);
        shared.limiter.opened();
        connection
    }

    /// The transport has ended, for this reason.
    pub(super) fn closed(&self, reason: CloseReason) {
        self.log_end(reason);
        self.shared.limiter.closed();
        self.release_permit();
        self.stop_accepting();
        self.end(reason_of(reason));
    }

    fn log_end(&self, reason: CloseReason) {
        metrics::CLOSED.add_for([reason.as_str()], 1);
        let user = self.session.lock().user().cloned();
        let (session, user, reason_name) = (&self.id, user.as_deref(), reason.as_str());
        match reason {
            CloseReason::TooSlow => {
                metrics::TOO_SLOW.add(1);
                tracing::info!(%session, user, "closed a connection: the client did not read its queue fast enough");
            }
            CloseReason::Malformed => {
                metrics::MALFORMED.add(1);
                tracing::info!(%session, user, "closed a connection: the client sent a malformed packet");
            }
            CloseReason::Flooding => {
                tracing::info!(%session, user, "closed a connection: the client kept sending above its rate limit");
            }
            _ => tracing::debug!(%session, user, reason = reason_name, "connection closed"),
        }
    }

    /// No longer counts the connection among its address's connections without a session.
    pub(super) fn release_permit(&self) {
        let permit = self.entry.lock().permit.take();
        if let Some(permit) = permit {
            permit.release();
        }
    }

    /// A token of this user was accepted: from now on the connection uses the user's budgets.
    pub(super) fn belongs_to(&self, user: &Arc<str>) -> Arc<User> {
        let user = self.shared.limiter.user(user);
        self.queue.lock().belongs_to(&user);
        user
    }

    /// Forgets an earlier refusal, because the client sent another CONNECT for the namespace.
    pub(super) fn forget_refusal(&self, namespace: &str) {
        if let Some(rare) = &mut self.entry.lock().rare {
            rare.refused.retain(|refused| **refused != *namespace);
        }
    }

    /// Remembers that the namespace refused the client permanently.
    pub(super) fn remember_refusal(&self, namespace: &str) {
        let mut entry = self.entry.lock();
        let refused = &mut entry.rare.get_or_insert_default().refused;
        if refused.len() < REFUSED_MAX {
            refused.push(namespace.into());
        }
    }

    /// The CONNECTs whose hooks are being asked.
    pub(super) fn pending_connects<T>(&self, act: impl FnOnce(&mut PendingConnects) -> T) -> T {
        act(&mut self.entry.lock().rare.get_or_insert_default().pending)
    }

    /// The client has sent a DISCONNECT: an answer of the namespace's hook has no effect.
    pub(super) fn withdraw(&self, namespace: &str) {
        if let Some(rare) = &mut self.entry.lock().rare {
            rare.pending.withdraw(namespace);
        }
    }

    /// Closes the transport after its queue was written. A stock client reconnects by itself.
    ///
    /// Clients before 4.1 reconnect to a namespace that refused them when the transport ends, unless they got a
    /// DISCONNECT. It is sent here and not right after the CONNECT_ERROR, because a client that retries at once with
    /// another token would read it as the answer to the retry.
    pub(crate) fn close(&self, reason: CloseReason) {
        let rare = self.entry.lock().rare.take();
        for namespace in rare.into_iter().flat_map(|rare| rare.refused) {
            // A client with a full queue does not read: nothing can be sent to it.
            let _ = self.outbox.send(&Frame::disconnect(&namespace));
        }
        self.stop_accepting();
        self.end(reason_of(reason));
        self.outbox.close(reason);
    }

    /// Accepts no more packets, because the connection is about to be closed. Packets already received are still
    /// handled.
    pub(crate) fn stop_accepting(&self) {
        self.queue.lock().shut();
    }

    /// Whether [`Connection::stop_accepting`] was called.
    pub(crate) fn is_closing(&self) -> bool {
        self.queue.lock().is_shut()
    }

    /// Whether all received packets were handled: then, after [`Connection::stop_accepting`], nothing more is claimed.
    pub(crate) fn is_handled(&self) -> bool {
        self.queue.lock().is_done()
    }

    /// Whether all received packets were handled, by hooks too, and [`Connection::close`] would drop no answer.
    pub(crate) fn is_finished(&self) -> bool {
        self.is_handled() && !self.shared.dispatch.is_handling(self.id) && self.outbox.is_flushed()
    }

    /// Records that a namespace has admitted the connection.
    pub(super) fn admitted(&self, session: &mut SessionState) {
        session.idle_from = None;
        self.outbox.admitted();
    }

    /// Whether the connection is in no namespace and no feed, so that it may be closed.
    pub(crate) fn is_idle(&self) -> bool {
        self.session.lock().sockets.is_empty() && self.subscriptions.lock().is_empty()
    }

    /// This connection's sockets, one for each namespace.
    pub(crate) fn sockets(&self) -> Vec<Arc<Client>> {
        self.session.lock().sockets.to_vec()
    }

    /// The sockets that a push for the user is sent to; see [`SessionState::recipients`].
    pub(crate) fn recipients(&self) -> Vec<Arc<Client>> {
        self.session.lock().recipients()
    }

    /// Why the session ended, if it has.
    pub(crate) fn end_reason(&self) -> Option<EndReason> {
        self.session.lock().end_reason()
    }

    /// The session that this connection holds in the cluster; `None` until its claim is complete and once it has ended.
    pub(crate) fn held(&self) -> Option<HeldSession> {
        let session = self.session.lock();
        let (user, generation) = session.live()?;
        let seen = session.user_cursor.at()?;
        let record = session.sockets.iter().find_map(|client| client.record());
        Some(HeldSession { session: self.session_ref(user), generation, seen, record })
    }

    /// Records that the session was re-registered under `incarnation`; false if it has ended meanwhile.
    pub(crate) fn reasserted(&self, incarnation: &Incarnation) -> bool {
        self.session.lock().reassert(incarnation)
    }

    /// Whether a client with this `auth` gets offsets and is recovered.
    pub(super) fn recovers(&self, auth: &ConnectAuth) -> bool {
        let settings = &self.shared.settings;
        (auth.recover || settings.recovery.default)
            && settings.engine().is_ok_and(|engine| engine == EngineKind::Native)
    }

    /// A socket in more rooms cannot be recovered.
    pub(super) fn max_recovered_rooms(&self) -> usize {
        self.shared.settings.recovery.rooms as usize
    }

    pub(super) fn session_ref(&self, user: Arc<str>) -> SessionRef {
        SessionRef { user, session: self.id.into() }
    }

    /// The socket in this namespace.
    pub(crate) fn client(&self, namespace: &str) -> Option<Arc<Client>> {
        self.session.lock().sockets.iter().find(|client| &*client.namespace.name == namespace).cloned()
    }

    pub(super) fn subscriber(&self, namespace: &str) -> Option<Arc<Subscriber>> {
        self.subscriptions.lock().find(namespace).cloned()
    }

    /// The data that the hook of its namespace gave the socket when it connected.
    pub(crate) fn data_of(&self, client: &Client) -> Option<Arc<RawValue>> {
        self.shared.socket_data.get(client.session, client.id)
    }

    /// Leaves a namespace or a feed. Returns the socket that has left.
    pub(super) fn leave(&self, namespace: &str) -> Option<Arc<Client>> {
        let left = self.session.lock().take_socket(namespace);
        match &left {
            Some(client) => self.shared.remove_client(client),
            None => self.unsubscribe(namespace),
        }
        left
    }

    /// Adds a subscriber, and sends it these frames first. False if the connection has ended, or has subscribed
    /// already.
    pub(super) fn subscribe(self: &Arc<Self>, subscriber: &Arc<Subscriber>, first: &[Frame]) -> bool {
        let sent = {
            // Under the lock, so that a concurrent end sends its events after CONNECT.
            let mut subscriptions = self.subscriptions.lock();
            if !subscriptions.add(subscriber) {
                return false;
            }
            self.shared.subscribed.insert(self, None);
            first.iter().try_for_each(|frame| self.outbox.send(frame))
        };
        self.admitted(&mut self.session.lock());
        if sent.is_err() {
            self.outbox.abort(CloseReason::TooSlow);
        }
        true
    }

    /// Ends the subscription to a feed, if there is one.
    pub(super) fn unsubscribe(&self, namespace: &str) {
        let mut subscriptions = self.subscriptions.lock();
        if let Some(subscriber) = subscriptions.remove(namespace) {
            subscriber.feed.subscribers.leave(&subscriber);
        }
        if subscriptions.is_empty() {
            self.shared.subscribed.remove(self.id);
        }
    }

    /// Ends all subscriptions, and refuses new ones. Returns the ended ones.
    pub(super) fn end_subscriptions(&self) -> Vec<Arc<Subscriber>> {
        let mut subscriptions = self.subscriptions.lock();
        self.shared.expiry.forget(subscriptions.checked_at(), self.id);
        let ended = subscriptions.end();
        for subscriber in &ended {
            subscriber.feed.subscribers.leave(subscriber);
        }
        self.shared.subscribed.remove(self.id);
        ended
    }

    /// Leaves all namespaces and feeds, and ends the session. A second call does nothing.
    fn end(&self, reason: EndReason) {
        self.end_subscriptions();
        self.end_session(Ending::Open(reason));
    }

    /// Leaves all namespaces except feeds, and ends the session. Returns the sockets it had; none in a second call.
    pub(super) fn end_session(&self, ending: Ending) -> Vec<Arc<Client>> {
        let (sockets, release) = {
            let mut session = self.session.lock();
            self.shared.expiry.forget(session.checked_at, self.id);
            session.end(ending.reason())
        };
        if self.subscriptions.lock().is_empty() {
            self.queue.lock().clear();
        }
        for client in &sockets {
            self.shared.remove_client(client);
        }
        self.shared.connections.remove(self.id);
        if let Some((user, incarnation, _)) = release {
            let stay = Stay::online(&self.session_ref(user));
            self.shared.releases.push_ending(Release { stay, incarnation, ending });
        }
        sockets.into_vec()
    }
}

/// The reason of a session's end that the end of its transport gives.
fn reason_of(reason: CloseReason) -> EndReason {
    match reason {
        // Idle: the client has left all namespaces.
        CloseReason::ClientClosed | CloseReason::Idle => EndReason::Client,
        CloseReason::TransportError => EndReason::TransportError,
        CloseReason::PingTimeout => EndReason::PingTimeout,
        CloseReason::ProtocolError | CloseReason::Malformed => EndReason::Malformed,
        CloseReason::TooSlow => EndReason::TooSlow,
        CloseReason::Flooding => EndReason::Flooding,
        CloseReason::Unavailable | CloseReason::ConnectRate => EndReason::Unavailable,
        CloseReason::Draining => EndReason::Draining,
    }
}

impl Listed for Connection {
    fn session(&self) -> SessionKey {
        self.id
    }
}

impl Idler for Connection {
    fn idle_from(&self, now: Instant) -> bool {
        let mut session = self.session.lock();
        session.idle_from.get_or_insert(now);
        !std::mem::replace(&mut session.idle_listed, true)
    }

    fn idle_unlisted(&self) {
        self.session.lock().idle_listed = false;
    }

    fn idle_since(&self) -> Option<Instant> {
        let idle_from = self.session.lock().idle_from;
        idle_from.filter(|_| self.is_idle())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        let sizes = (size_of::<Connection>(), size_of::<Client>());
        assert!(sizes.0 <= 304 && sizes.1 <= 128, "{sizes:?} bytes");
    }
}
