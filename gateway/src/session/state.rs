//! The state of a connection's session. Pure: it decides, its callers act.
//!
//! While a claim is in progress, the end of the connection releases nothing: the code that claims checks the state
//! afterwards and releases the granted session. So no release overtakes its claim.

use std::sync::Arc;

use jackfield_cluster::{ids::Incarnation, sessions::EndReason};
use jackfield_shared::claims::Identity;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{Client, token_validity::TokenValidity, user_cursor::UserCursor};

/// See the module.
#[derive(Default)]
pub(super) struct SessionState {
    /// One socket for each namespace. Most connections have one.
    pub(super) sockets: SmallVec<[Arc<Client>; 1]>,
    /// The identity in the token that expires last.
    identity: Option<Arc<Identity>>,
    held: Option<Claim>,
    pub(super) validity: TokenValidity,
    /// The Unix second at which [`super::registry::Expiry`] checks the token; 0 until a token was accepted.
    pub(super) checked_at: u64,
    /// Since when the connection is in no namespace; a refused CONNECT does not change it.
    pub(super) idle_from: Option<Instant>,
    /// The connection is on the list of [`super::registry::Idle`].
    pub(super) idle_listed: bool,
    /// A claim is in progress.
    claiming: bool,
    evicted: bool,
    /// Why it ended first.
    ended: Option<EndReason>,
    /// A count for the user arrived after the claim, but before the first namespace was joined.
    missed_push: bool,
    /// The events for the user that were sent.
    pub(super) user_cursor: UserCursor,
}

/// A granted claim: the session's generation, and the incarnation that holds it.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) generation: u64,
    pub(super) incarnation: Incarnation,
}

/// The session's state when the client sends a CONNECT.
pub(super) enum Standing {
    /// The session belongs to no user yet: the caller must claim it.
    Claim,
    /// The session belongs to this user.
    Same,
    /// The session belongs to another user.
    Other,
    /// The session has ended.
    Ended,
}

impl SessionState {
    pub(super) fn begin(&mut self, identity: &Arc<Identity>) -> Standing {
        match &self.identity {
            _ if self.ended.is_some() => Standing::Ended,
            Some(user) if user.user_id == identity.user_id => Standing::Same,
            Some(_) => Standing::Other,
            None => {
                self.identity = Some(Arc::clone(identity));
                self.claiming = true;
                Standing::Claim
            }
        }
    }

    /// The claim was refused, got no answer or was not sent: the session belongs to no user again.
    pub(super) fn abandon(&mut self) {
        self.identity = None;
        self.claiming = false;
    }

    pub(super) fn granted(&mut self, held: Claim) {
        self.held = Some(held);
    }

    /// The claim is complete. Returns what to release if the session ended meanwhile, and whether it was evicted.
    pub(super) fn settle(&mut self) -> (Option<Release>, bool) {
        self.claiming = false;
        let release = self.ended.and_then(|reason| self.release(reason));
        (release, self.evicted)
    }

    /// Records that the session is held under a new incarnation; false if it has ended.
    pub(super) fn reassert(&mut self, incarnation: &Incarnation) -> bool {
        match &mut self.held {
            Some(held) if self.ended.is_none() => {
                held.incarnation = incarnation.clone();
                true
            }
            _ => false,
        }
    }

    /// The session's user and generation, while it is claimed and has not ended.
    pub(super) fn live(&self) -> Option<(Arc<str>, u64)> {
        let user = self.identity.as_ref().filter(|_| !self.is_ended() && !self.claiming)?;
        Some((Arc::clone(&user.user_id), self.held.as_ref()?.generation))
    }

    /// The incarnation that the session was granted to, even after its end.
    pub(super) fn incarnation(&self) -> Option<Incarnation> {
        self.held.as_ref().map(|held| held.incarnation.clone())
    }

    /// The user, once a token was accepted.
    pub(super) fn user(&self) -> Option<&Arc<str>> {
        self.identity.as_ref().map(|identity| &identity.user_id)
    }

    /// The identity in the token that expires last, with the user's present roles.
    pub(super) fn identity(&self) -> Option<&Arc<Identity>> {
        self.identity.as_ref()
    }

    pub(super) fn set_identity(&mut self, identity: Arc<Identity>) {
        self.identity = Some(identity);
    }

    /// Another token of the user was accepted. The one that expires later counts.
    pub(super) fn renew(&mut self, identity: &Arc<Identity>) {
        self.validity.renew(identity.expires_at);
        if identity.expires_at == self.validity.expires_at {
            self.identity = Some(Arc::clone(identity));
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Why the session ended.
    pub(super) fn end_reason(&self) -> Option<EndReason> {
        self.ended
    }

    /// Records an eviction that arrived before the first namespace was joined; false if it can take effect now.
    pub(super) fn evict_later(&mut self) -> bool {
        let later = self.claiming && self.sockets.is_empty() && !self.is_ended();
        self.evicted |= later;
        later
    }

    /// The sockets that a count for the user is sent to. Notes that it was missed if the session is still being
    /// claimed.
    pub(super) fn recipients(&mut self) -> Vec<Arc<Client>> {
        self.missed_push |= self.claiming && self.sockets.is_empty();
        self.sockets.to_vec()
    }

    /// Whether a push was missed; false until the next one.
    pub(super) fn take_missed_push(&mut self) -> bool {
        std::mem::take(&mut self.missed_push)
    }

    pub(super) fn take_socket(&mut self, namespace: &str) -> Option<Arc<Client>> {
        let index = self.sockets.iter().position(|client| &*client.namespace.name == namespace)?;
        Some(self.sockets.swap_remove(index))
    }

    pub(super) fn end(&mut self, reason: EndReason) -> (SmallVec<[Arc<Client>; 1]>, Option<Release>) {
        let is_first = self.ended.is_none();
        self.ended.get_or_insert(reason);
        let release = if is_first && !self.claiming { self.release(reason) } else { None };
        (std::mem::take(&mut self.sockets), release)
    }

    fn release(&self, reason: EndReason) -> Option<Release> {
        let held = self.held.as_ref()?;
        Some((Arc::clone(&self.identity.as_ref()?.user_id), held.incarnation.clone(), reason))
    }
}

/// The user whose session is to be released, the incarnation that held it, and why it ended.
pub(super) type Release = (Arc<str>, Incarnation, EndReason);
