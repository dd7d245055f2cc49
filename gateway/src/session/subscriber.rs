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
    /// The user's id, if the client sent a token.
    pub(crate) user_id: Option<Arc<str>>,
    /// The user's budgets, if the client sent a token.
    pub(crate) user: Option<Arc<User>>,
    outbox: Outbox,
    /// Its events carry offsets.
    offsets: bool,
    /// The token, if the client sent one.
    token: Mutex<Token>,
}

/// The token of a subscription that expires last.
#[derive(Default)]
struct Token {
    validity: TokenValidity,
    /// With the user's present roles.
    identity: Option<Arc<Identity>>,
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
        let user_id = identity.as_ref().map(|identity| Arc::clone(&identity.user_id));
        let mut token = Token::default();
        if let Some(identity) = identity {
            token.renew(identity);
        }
        Arc::new(Self { id, feed, user_id, user, outbox, offsets, token: Mutex::new(token) })
    }

    /// Whether the client may send updates: its token is valid at this Unix second, and the token's roles allow it.
    pub(crate) fn may_update(&self, now: u64) -> bool {
        let Token { validity, identity } = &*self.token.lock();
        let allowed = identity.as_ref().is_some_and(|identity| self.feed.rule.update.allow(&identity.roles));
        allowed && now < validity.expires_at
    }

    /// The user sent another token. Returns the later expiry of the two tokens.
    pub(crate) fn renew(&self, identity: &Arc<Identity>) -> u64 {
        let mut token = self.token.lock();
        token.renew(Arc::clone(identity));
        token.validity.expires_at
    }

    /// The identity in the token.
    pub(super) fn identity(&self) -> Option<Arc<Identity>> {
        self.token.lock().identity.clone()
    }

    /// The user's roles may have changed. Does nothing if another token was accepted meanwhile.
    pub(super) fn set_identity(&self, present: Arc<Identity>) {
        let identity = &mut self.token.lock().identity;
        if identity.as_ref().is_some_and(|identity| identity.marks == present.marks) {
            *identity = Some(present);
        }
    }

    /// The step that is due for its token at this Unix second, and the token's expiry.
    pub(super) fn token_step(&self, now: u64) -> (Step, u64) {
        let validity = &mut self.token.lock().validity;
        (validity.step(now), validity.expires_at)
    }

    pub(super) fn emit(&self, event: &str, data: &Value) {
        if let Some(frame) = Frame::event(&self.feed.namespace, event, data) {
            Member::send(self, &frame);
        }
    }
}

impl Token {
    fn renew(&mut self, identity: Arc<Identity>) {
        self.validity.renew(identity.expires_at);
        if identity.expires_at == self.validity.expires_at {
            self.identity = Some(identity);
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
