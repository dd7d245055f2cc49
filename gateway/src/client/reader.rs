//! One connection's membership in one feed. A reader may be anonymous, belongs to no session, and sends little.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use jackfield_shared::{claims::Identity, time::rfc3339_of_unix};
use parking_lot::Mutex;
use serde_json::json;

use super::{
    Connection,
    validity::{Step, Validity},
};
use crate::{
    engine::{Frame, Full, Outbox},
    event::Addressee,
    feed::Feed,
    limits::User,
    node::Node,
    ops::metrics,
};

/// See the module.
pub struct Reader {
    /// Public: it gives no power over the connection.
    pub id: Arc<str>,
    /// The feed that it reads.
    pub feed: Arc<Feed>,
    /// The user, if it sent a token.
    pub identity: Option<Identity>,
    /// The user's budgets, if it sent a token.
    pub user: Option<Arc<User>>,
    /// The node it is on.
    pub node: Arc<Node>,
    outbox: Outbox,
    connection: Weak<Connection>,
    /// Of the token, if it sent one.
    validity: Mutex<Validity>,
    gone: AtomicBool,
}

impl Reader {
    pub(super) fn new(
        id: Arc<str>,
        feed: Arc<Feed>,
        identity: Option<Identity>,
        user: Option<Arc<User>>,
        connection: &Arc<Connection>,
    ) -> Arc<Self> {
        let mut validity = Validity::default();
        validity.renew(identity.as_ref().map_or(0, |identity| identity.expires_at));
        Arc::new(Self {
            id,
            feed,
            identity,
            user,
            node: Arc::clone(&connection.node),
            outbox: connection.outbox.clone(),
            connection: Arc::downgrade(connection),
            validity: Mutex::new(validity),
            gone: AtomicBool::new(false),
        })
    }

    /// Adds the reader to its feed, these frames first. False if its connection has ended or already reads the feed.
    #[must_use]
    pub fn enter(self: &Arc<Self>, first: &[Frame]) -> bool {
        self.connection.upgrade().is_some_and(|connection| connection.take_in(self, first))
    }

    /// The connection's queue.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether it has left the feed.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn gone(&self) {
        if !self.gone.swap(true, Ordering::AcqRel) {
            self.feed.left();
        }
    }

    /// Whether it sent a token whose roles allow it to send updates, and which is still valid at this Unix second.
    #[must_use]
    pub fn may_update(&self, now: u64) -> bool {
        let allowed = self.identity.as_ref().is_some_and(|identity| self.feed.rule.update.allow(&identity.roles));
        allowed && now < self.validity.lock().expires_at
    }

    /// The user sent another token. Returns the later expiry of the two.
    #[must_use]
    pub fn renew(&self, expires_at: u64) -> u64 {
        let mut validity = self.validity.lock();
        validity.renew(expires_at);
        validity.expires_at
    }

    /// Warns the reader if its token is about to expire at this Unix second, and removes it if the token has expired.
    pub fn look_at_token(&self, now: u64) {
        let (step, expires_at) = {
            let mut validity = self.validity.lock();
            (validity.step(now), validity.expires_at)
        };
        let expiring = json!({ "expiresAt": rfc3339_of_unix(expires_at) });
        match step {
            Step::Wait(_) => {}
            Step::Tell => self.emit("token:expiring", &expiring),
            Step::Expired => self.send_away("token_expired", "token:expired", &expiring),
        }
    }

    /// Sends the reason and a DISCONNECT, then removes the reader from its feed for good.
    pub(super) fn send_away(&self, reason: &'static str, event: &str, data: &serde_json::Value) {
        metrics::SENT_AWAY.add_for([reason], 1);
        self.emit(event, data);
        self.send(&Frame::disconnect(self.namespace()));
        if let Some(connection) = self.connection.upgrade() {
            connection.put_out(self.namespace());
            self.node.idle.watch(&connection);
        }
    }

    fn emit(&self, event: &str, data: &serde_json::Value) {
        if let Some(frame) = Frame::event(self.namespace(), event, data) {
            self.send(&frame);
        }
    }

    /// Its queue is full: closes the transport, so that the client reconnects by itself.
    pub(super) fn too_slow(&self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.too_slow();
        }
    }
}

impl Addressee for Reader {
    fn namespace(&self) -> &str {
        &self.feed.namespace
    }

    fn send(&self, frame: &Frame) {
        if self.outbox.send(frame) == Err(Full) {
            self.too_slow();
        }
    }
}
