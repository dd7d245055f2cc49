//! The contract of engines: each promise is one case, which runs against every engine over real sockets.
//!
//! Each file is about one part of the protocol; [`harness`] serves an engine and speaks to it byte by byte. The cases
//! say what Engine.IO's own server does; [`differences`] lists where an engine does otherwise, with the reason, and
//! the case then asserts what the engine does instead.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

mod admission;
mod closing;
mod differences;
mod handshake;
mod handshake_refusals;
mod harness;
mod heartbeat;
mod interleavings;
mod packets;
mod polling;
mod polling_overlaps;
mod polling_payloads;
mod polling_refusals;
mod queue;
mod queue_age;
mod relay;
mod upgrade;
mod upgrade_failures;
mod upgrade_overlaps;
mod websocket;
mod websocket_violations;
