//! The gateway as a whole: its behaviour in a cluster in this process, its layers, and its documented settings.
//!
//! Each file is about one kind of thing that clients or backends do; [`harness`] is the cluster.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

mod api;
mod api_batch;
mod api_emit;
mod api_emit_ack;
mod api_idempotency;
mod api_refusals;
mod api_room_sockets;
mod binary;
mod chat;
mod connect;
mod drain;
mod durability;
mod emitter;
mod facts;
mod feeds;
mod feeds_recovery;
mod harness;
mod hooks;
mod hooks_connect;
mod hooks_failures;
mod hooks_hostile;
mod interleavings;
mod issuers;
mod layers;
mod limits;
mod notifications;
mod private_messages;
mod readme;
mod recovery;
mod recovery_refused;
mod relay;
mod revocations;
mod rooms_costs;
mod rooms_join;
mod rooms_members;
mod rooms_messages;
mod rooms_refusals;
mod roster;
mod sessions;
