//! Whether the node can take clients, and if not, which part is missing.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// The parts that only the node's own work knows.
#[derive(Default)]
pub(crate) struct ReadinessFlags {
    lease: AtomicBool,
    refuses_handshakes: AtomicBool,
}

/// The parts, as `/readyz` shows them; true is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// The back end answers, and this node's lease holds.
    pub redis: bool,
    /// A message that this node sent to itself came back lately.
    pub pub_sub: bool,
    /// There are keys to verify tokens with.
    pub keys: bool,
    /// The node is not shutting down.
    pub staying: bool,
}

impl Readiness {
    /// Whether nothing is missing.
    pub fn is_ready(&self) -> bool {
        self.can_serve() && self.staying
    }

    /// Whether new clients can be served, even if only for a while.
    pub fn can_serve(&self) -> bool {
        self.redis && self.pub_sub && self.keys
    }

    /// All parts in one word.
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

    /// From now on new handshakes are refused.
    pub(crate) fn refuse_handshakes(&self) {
        self.refuses_handshakes.store(true, Ordering::Release);
    }

    pub(crate) fn refuses_handshakes(&self) -> bool {
        self.refuses_handshakes.load(Ordering::Acquire)
    }
}
