//! Whether the node can take clients, and if not, which part is missing.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::Node;

/// The parts that only the node's own work knows.
#[derive(Default)]
pub struct Readiness {
    lease: AtomicBool,
    turns_away: AtomicBool,
}

/// The parts, as `/readyz` shows them; true is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parts {
    /// The back end answers, and this node's lease holds.
    pub redis: bool,
    /// A message that this node sent to itself came back lately.
    pub pub_sub: bool,
    /// There are keys to verify tokens with.
    pub keys: bool,
    /// The node is not shutting down.
    pub staying: bool,
}

impl Parts {
    /// Whether nothing is missing.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.serves() && self.staying
    }

    /// Whether new clients can be served, even if only for a while.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.redis && self.pub_sub && self.keys
    }

    /// All parts in one word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.staying {
            true if self.serves() => "ready",
            true => "unready",
            false => "draining",
        }
    }
}

impl Readiness {
    pub(super) fn set_lease(&self, holds: bool) {
        self.lease.store(holds, Ordering::Release);
    }

    /// From now on new handshakes are refused.
    pub(super) fn turn_away(&self) {
        self.turns_away.store(true, Ordering::Release);
    }
}

impl Node {
    /// The state of all parts.
    #[must_use]
    pub fn parts(&self) -> Parts {
        Parts {
            redis: self.readiness.lease.load(Ordering::Acquire),
            pub_sub: self.cluster.bus.healthy(),
            keys: self.verifier.ready(),
            staying: !self.is_draining(),
        }
    }

    /// Whether the node is shutting down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.lifecycle.leaving().is_cancelled()
    }

    /// Whether new handshakes are refused, because the node is shutting down and balancers had time to notice.
    #[must_use]
    pub fn turns_away(&self) -> bool {
        self.readiness.turns_away.load(Ordering::Acquire) || self.lifecycle.stopping().is_cancelled()
    }
}
