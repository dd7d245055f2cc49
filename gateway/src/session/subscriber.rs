//! One connection's subscription to one feed. A subscriber may be anonymous, and belongs to no session.

use std::sync::Arc;

use jackfield_cluster::ids::SocketId;
use jackfield_engine::{Frame, Outbox};
use jackfield_shared::claims::Identity;
use parking_lot::Mutex;
use serde_json::Value;

use super::{
    Addressee,
    token_validity::{Step, TokenValidity},
};
use crate::{
    feed::{Feed, Reader},
    hub::Member,
    limits::User,
};

/// See the module.
pub(crate) struct Subscriber {
    /// Unique on this node. Clients never see it: a client that comes back keeps its public id.
    pub(crate) id: SocketId,
    pub(crate) feed: Arc<Feed<Subscriber>>,
    /// The user, if the client sent a token.
    pub(crate) identity: Option<Arc<Identity>>,
    /// The user's budgets, if the client sent a token.
    pub(crate) user: Option<Arc<User>>,
    outbox: Outbox,
    /// Its events carry offsets.
    offsets: bool,
    /// The token's validity, if the client sent one.
    validity: Mutex<TokenValidity>,
}

impl Subscriber {
    pub(super) fn new(
        id: SocketId,
        feed: Arc<Feed<Subscriber>>,
        identity: Option<Arc<Identity>>,
        user: Option<Arc<User>>,
        outbox: Outbox,
        offsets: bool,
    ) -> Arc<Self> {
        let mut validity = TokenValidity::default();
        validity.renew(identity.as_ref().map_or(0, |identity| identity.expires_at));
        Arc::new(Self { id, feed, identity, user, outbox, offsets, validity: Mutex::new(validity) })
    }

    /// Whether the client may send updates: its token is valid at this Unix second, and the token's roles allow it.
    pub(crate) fn may_update(&self, now: u64) -> bool {
        let allowed = self.identity.as_ref().is_some_and(|identity| self.feed.rule.update.allow(&identity.roles));
        allowed && now < self.validity.lock().expires_at
    }

    /// The user sent another token. Returns the later expiry of the two tokens.
    pub(crate) fn renew(&self, expires_at: u64) -> u64 {
        let mut validity = self.validity.lock();
        validity.renew(expires_at);
        validity.expires_at
    }

    /// The step that is due for its token at this Unix second, and the token's expiry.
    pub(super) fn token_step(&self, now: u64) -> (Step, u64) {
        let mut validity = self.validity.lock();
        (validity.step(now), validity.expires_at)
    }

    pub(super) fn emit(&self, event: &str, data: &Value) {
        if let Some(frame) = Frame::event(&self.feed.namespace, event, data) {
            Member::send(self, &frame);
        }
    }
}

impl Member for Subscriber {
    fn id(&self) -> SocketId {
        self.id
    }

    fn outbox(&self) -> &Outbox {
        &self.outbox
    }
}

impl Reader for Subscriber {
    fn has_offsets(&self) -> bool {
        self.offsets
    }
}

impl Addressee for Subscriber {
    fn namespace(&self) -> &str {
        &self.feed.namespace
    }

    fn send(&self, frame: &Frame) {
        Member::send(self, frame);
    }
}
