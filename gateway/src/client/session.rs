//! The state of a connection's session. Pure: it decides, others do.
//!
//! While a claim is under way nothing is given back, however the connection ends meanwhile: whoever claims looks at the
//! state afterwards and gives back what it got. So no release can overtake the claim that it belongs to.

use std::{sync::Arc, time::Instant};

use jackfield_shared::claims::Identity;

use super::{Client, validity::Validity};
use crate::cluster::ids::Incarnation;

/// See the module.
#[derive(Default)]
pub(super) struct Session {
    /// One for each namespace.
    pub(super) sockets: Vec<Arc<Client>>,
    user: Option<Identity>,
    held: Option<Held>,
    pub(super) validity: Validity,
    /// When [`crate::node::Expiry`] looks at it.
    pub(super) looked_at: u64,
    /// Since when it is in no namespace: a CONNECT that is refused changes nothing about that.
    pub(super) idle_from: Option<Instant>,
    /// It is on the list of [`crate::node::Idle`].
    pub(super) idle_listed: bool,
    /// A claim is under way.
    claiming: bool,
    evicted: bool,
    ended: bool,
}

/// What was granted, and to which lease of the node.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) generation: u64,
    pub(super) incarnation: Incarnation,
}

/// Where a connection stands when a namespace is asked for.
pub(super) enum Standing {
    /// Nobody's yet: a claim is under way from now on.
    Claim,
    /// This user's.
    Same,
    /// Another user's.
    Other,
    /// Over.
    Ended,
}

impl Session {
    pub(super) fn begin(&mut self, identity: &Identity) -> Standing {
        match &self.user {
            _ if self.ended => Standing::Ended,
            Some(user) if user.user_id == identity.user_id => Standing::Same,
            Some(_) => Standing::Other,
            None => {
                self.user = Some(identity.clone());
                self.claiming = true;
                Standing::Claim
            }
        }
    }

    /// The claim was refused, or not answered: nobody's again.
    pub(super) fn abandon(&mut self) {
        self.user = None;
        self.claiming = false;
    }

    pub(super) fn granted(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// The claim is through. What is to be given back, where the session ended meanwhile; and whether it was evicted.
    pub(super) fn settle(&mut self) -> (Option<Departure>, bool) {
        self.claiming = false;
        let departure = if self.ended { self.departure() } else { None };
        (departure, self.evicted)
    }

    /// Writes down that the session is held under a new incarnation; false where it is over.
    pub(super) fn reassert(&mut self, incarnation: &Incarnation) -> bool {
        match &mut self.held {
            Some(held) if !self.ended => {
                held.incarnation = incarnation.clone();
                true
            }
            _ => false,
        }
    }

    /// Whose session this is and what was granted, while it lasts.
    pub(super) fn live(&self) -> Option<(Arc<str>, u64)> {
        let user = self.user.as_ref().filter(|_| !self.ended && !self.claiming)?;
        Some((Arc::clone(&user.user_id), self.held.as_ref()?.generation))
    }

    /// The incarnation that the session was granted to, over or not.
    pub(super) fn incarnation(&self) -> Option<Incarnation> {
        self.held.as_ref().map(|held| held.incarnation.clone())
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Notes an eviction that came before the first namespace was joined; false where it can be carried out now.
    pub(super) fn evict_later(&mut self) -> bool {
        let later = self.claiming && self.sockets.is_empty() && !self.ended;
        self.evicted |= later;
        later
    }

    pub(super) fn take_socket(&mut self, namespace: &str) -> Option<Arc<Client>> {
        let place = self.sockets.iter().position(|client| &*client.namespace.name == namespace)?;
        Some(self.sockets.swap_remove(place))
    }

    pub(super) fn end(&mut self) -> (Vec<Arc<Client>>, Option<Departure>) {
        let first = !std::mem::replace(&mut self.ended, true);
        let departure = if first && !self.claiming { self.departure() } else { None };
        (std::mem::take(&mut self.sockets), departure)
    }

    fn departure(&self) -> Option<Departure> {
        let held = self.held.as_ref()?;
        Some((Arc::clone(&self.user.as_ref()?.user_id), held.incarnation.clone()))
    }
}

/// Whose session is to be given back, and under which incarnation it was held.
pub(super) type Departure = (Arc<str>, Incarnation);
