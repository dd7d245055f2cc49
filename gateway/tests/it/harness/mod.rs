//! A cluster in this process: nodes on the memory cluster, clients without a transport, and paused time.
//!
//! `cluster.client("ana").await` is a connected client; `client.join("r").await` and `client.ask(event, data).await` are
//! what it does, `client.next(event).await` and `client.all(event)` what it gets; [`room`] adds what tests of rooms
//! share. Time is the test's own: a grace or a lease costs nothing, and [`TestCluster::quiet`] is a true barrier,
//! because the clock only moves while no task of any node has anything to do. So the absence of an event can be
//! asserted after it.
//!
//! Deliberately cannot kill a node, lose messages or be slow: tests with real processes do that.

mod client;
mod cluster;
mod room;
mod user;

use serde_json::Value;

pub use self::{
    client::{Client, hex},
    cluster::{API_KEY, TestCluster},
    room::{history, ids, send_many},
    user::User,
};

/// Whether it is a time as the protocol writes it: RFC 3339, UTC, milliseconds.
pub fn is_timestamp(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3fZ").is_ok()
}
