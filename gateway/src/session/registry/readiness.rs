//! Whether the node can take clients, and if not, which part is missing.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// The parts that only the node's own work knows.
#[derive(Default)]
pub(crate) struct Readiness {
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
    pub fn ready(&self) -> bool {
        self.serves() && self.staying
    }

    /// Whether new clients can be served, even if only for a while.
    pub fn serves(&self) -> bool {
        self.redis && self.pub_sub && self.keys
    }

    /// All parts in one word.
    pub fn as_str(&self) -> &'static str {
        match self.staying {
            true if self.serves() => "ready",
            true => "unready",
            false => "draining",
        }
    }
}

impl Readiness {
    pub(crate) fn set_lease(&self, holds: bool) {
        self.lease.store(holds, Ordering::Release);
    }

    pub(crate) fn has_lease(&self) -> bool {
        self.lease.load(Ordering::Acquire)
    }

    /// From now on new handshakes are refused.
    pub(crate) fn turn_away(&self) {
        self.turns_away.store(true, Ordering::Release);
    }

    pub(crate) fn turns_away(&self) -> bool {
        self.turns_away.load(Ordering::Acquire)
    }
}
