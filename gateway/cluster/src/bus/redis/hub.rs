//! The state that the listeners of a node share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    book::{Book, Place},
    commands::Kind,
};
use crate::{
    bus::{emitters::EmitterQueue, events::EventQueue},
    redis::keys::Keys,
};

/// A server from which the node received no probe for this long is not heard.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Hub {
    pub(super) keys: Keys,
    /// The node's id.
    pub(super) node: String,
    pub(super) kind: Kind,
    pub(super) book: Mutex<Book>,
    /// The node's events.
    pub(super) queue: EventQueue,
    pub(super) emitters: Mutex<Emitters>,
    /// The running listeners.
    pub(super) ears: Mutex<Vec<Ear>>,
    /// Probes carry the time since this instant.
    pub(super) began: Instant,
}

/// The messages of emitters, if the node listens to them.
#[derive(Default)]
pub(super) struct Emitters {
    pub(super) queue: Option<EmitterQueue>,
    /// On a Redis Cluster: the listener that gets the messages, because a message reaches all servers.
    at: Option<Place>,
}

/// Whether a server is heard.
#[derive(Clone)]
pub(super) struct Ear {
    pub(super) place: Place,
    pub(super) server: String,
    pub(super) last_probe: Arc<Mutex<Option<Instant>>>,
}

impl Ear {
    pub(super) fn is_heard(&self) -> bool {
        self.last_probe.lock().is_some_and(|at| at.elapsed() < PROBE_TIMEOUT)
    }
}

impl Emitters {
    /// The patterns that this listener has to subscribe to, if any.
    pub(super) fn patterns(&mut self, place: Place, kind: Kind) -> Option<[String; 2]> {
        let queue = self.queue.as_ref()?;
        let is_here = kind == Kind::Plain || *self.at.get_or_insert(place) == place;
        is_here.then(|| queue.patterns())
    }

    /// The listener has no connection any more.
    pub(super) fn lost(&mut self, place: Place) {
        self.at.take_if(|at| *at == place);
    }
}
