//! Whether the node can serve clients, and which parts are not ready.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// The state of the lease and of the drain, which background work sets.
#[derive(Default)]
pub(crate) struct ReadinessFlags {
    lease: AtomicBool,
    refuses_handshakes: AtomicBool,
}

/// Whether each part is ready, as `/readyz` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The back end answers, and this node's lease holds.
    pub redis: bool,
    /// A message that this node sent to itself came back recently, from any server.
    pub pub_sub: bool,
    /// The keys that verify tokens are loaded.
    pub keys: bool,
    /// The node is not shutting down.
    pub staying: bool,
}

impl Readiness {
    /// Whether all parts are ready.
    pub fn is_ready(&self) -> bool {
        self.can_serve() && self.staying
    }

    /// Whether the node can serve new clients, even if it drains soon.
    pub fn can_serve(&self) -> bool {
        self.redis && self.pub_sub && self.keys
    }

    /// The overall state: `ready`, `unready` or `draining`.
    pub fn as_str(&self) -> &'static str {
        match self.staying {
            true if self.can_serve() => "ready",
            true => "unready",
            false => "draining",
        }
    }
}

impl ReadinessFlags {
    pub(crate) fn set_lease(&self, holds: bool) {
        self.lease.store(holds, Ordering::Release);
    }

    pub(crate) fn has_lease(&self) -> bool {
        self.lease.load(Ordering::Acquire)
    }

    /// Refuses new handshakes from now on.
    pub(crate) fn refuse_handshakes(&self) {
        self.refuses_handshakes.store(true, Ordering::Release);
    }

    pub(crate) fn refuses_handshakes(&self) -> bool {
        self.refuses_handshakes.load(Ordering::Acquire)
    }
}
