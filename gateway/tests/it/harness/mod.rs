//! A cluster in this process: nodes on the memory cluster, clients without a transport, and paused time.
//!
//! `cluster.client("ana").await` is a connected client; `client.join("r").await` and `client.ask(event, data).await` are
//! what it does, `client.next(event).await` and `client.all(event)` what it gets; [`room`] adds what tests of rooms
//! share. Time is the test's own: a grace or a lease costs nothing, and [`TestCluster::quiet`] is a true barrier,
//! because the clock only moves while no task of any node has anything to do. So the absence of an event can be
//! asserted after it.
//!
//! Deliberately cannot kill a node, lose messages or be slow: tests with real processes do that.

mod backend;
mod call;
mod client;
mod cluster;
mod packet;
mod room;
pub mod stock;
mod user;

use serde_json::Value;

pub use self::{
    backend::{Backend, RawBackend, SECRETS, answer, hooks as hooks_setting, text},
    call::{call, json_of, once},
    client::Client,
    cluster::{API_KEY, TestCluster},
    packet::hex,
    room::{history, ids, members, room_log, send_many},
    user::{SECRET, User},
};

/// Whether it is a time as the protocol writes it: RFC 3339, UTC, milliseconds.
pub fn is_timestamp(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.len() == 24 && chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3fZ").is_ok()
}

/// An event without its timestamp, which must be one.
pub fn timed(mut data: Value) -> Value {
    let timestamp = data.as_object_mut().unwrap().remove("timestamp").unwrap_or_default();
    assert!(is_timestamp(&timestamp), "{timestamp} in {data}");
    data
}
