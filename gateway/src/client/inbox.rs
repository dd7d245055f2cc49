//! What a connection sent and has not been handled yet: bounded, in order, without a task while there is nothing.

use std::{collections::VecDeque, time::Instant};

use super::limiter::{FloodGuard, FloodLimits, Verdict};
use crate::engine::Inbound;

/// One connection's queue.
pub(super) struct Inbox {
    queue: VecDeque<(Instant, Inbound)>,
    guard: FloodGuard,
    /// A task is handling what is here.
    running: bool,
    /// Nothing more is taken.
    shut: bool,
}

/// What is to be done with a packet that has just come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Nothing: whoever handles the queue comes to it, or nobody does because it is shut.
    Queued,
    /// Somebody has to start handling the queue.
    Start,
    /// Too fast; the packet is given back for the answer.
    Limited { packet: Inbound, retry_after_ms: u64 },
    /// Too fast for too long.
    Flooding,
}

/// When the queue is full, by how much the client is asked to wait.
const FULL_RETRY_MS: u64 = 1_000;

impl Inbox {
    pub(super) fn new(limits: FloodLimits) -> Self {
        Self { queue: VecDeque::new(), guard: FloodGuard::new(limits, Instant::now()), running: false, shut: false }
    }

    pub(super) fn push(&mut self, packet: Inbound, limits: FloodLimits, capacity: usize) -> Arrival {
        if self.shut {
            return Arrival::Queued;
        }
        let now = Instant::now();
        match self.guard.check(limits, now) {
            Verdict::Pass if self.queue.len() >= capacity => {
                return Arrival::Limited { packet, retry_after_ms: FULL_RETRY_MS };
            }
            Verdict::Pass => self.queue.push_back((now, packet)),
            Verdict::Limited { retry_after_ms } => return Arrival::Limited { packet, retry_after_ms },
            Verdict::Flooding => return Arrival::Flooding,
        }
        if std::mem::replace(&mut self.running, true) { Arrival::Queued } else { Arrival::Start }
    }

    /// The next packet and when it came; after nothing, handling has ended.
    pub(super) fn pop(&mut self) -> Option<(Instant, Inbound)> {
        let next = self.queue.pop_front();
        if next.is_none() {
            self.running = false;
            // Sockets are idle most of the time: what a burst needed is given back.
            self.queue = VecDeque::new();
        }
        next
    }

    /// Takes nothing more; what is here is still handled.
    pub(super) fn shut(&mut self) {
        self.shut = true;
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether everything that was taken has been handled.
    pub(super) fn is_done(&self) -> bool {
        !self.running
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}
