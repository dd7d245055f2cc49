//! The one list of metrics. The text of each is its help in `/metrics`; labels come from closed lists only.

use std::sync::OnceLock;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// A metric's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// Name, kind, help.
pub const METRICS: &[(&str, Kind, &str)] = &[
    (CONNECTIONS, Kind::Gauge, "Engine.IO connections on this node"),
    (SOCKETS, Kind::Gauge, "Sockets in namespaces on this node"),
    (CONNECTS, Kind::Counter, "Sockets that joined a namespace"),
    (REFUSED, Kind::Counter, "CONNECTs refused, by code"),
    (HANDSHAKES_REFUSED, Kind::Counter, "Handshakes answered with 503, by code"),
    (EVENTS, Kind::Counter, "Events handled, by outcome: ok or the error's code"),
    (RATE_LIMITED, Kind::Counter, "Packets refused because they came too fast"),
    (DELIVERIES, Kind::Counter, "Frames queued for sockets by fan-out"),
    (EVICTED, Kind::Counter, "Sessions ended because another of the user took their place"),
    (LEASES_LOST, Kind::Counter, "Times this node went on under a new lease"),
    (REAPED, Kind::Counter, "Dead nodes that this node cleared up after"),
    (NODES, Kind::Gauge, "Nodes with a lease, as this node sees them"),
    (REPAIRED, Kind::Counter, "Stored messages read from a log because the bus did not bring them"),
    (RESETS, Kind::Counter, "Times a room's log began anew under members of this node"),
    (BUS_MISSED, Kind::Counter, "Times that messages from other nodes may have been missed"),
];

const CONNECTIONS: &str = "jackfield_connections";
const SOCKETS: &str = "jackfield_sockets";
const CONNECTS: &str = "jackfield_connects_total";
const REFUSED: &str = "jackfield_connects_refused_total";
const HANDSHAKES_REFUSED: &str = "jackfield_handshakes_refused_total";
const EVENTS: &str = "jackfield_events_total";
const RATE_LIMITED: &str = "jackfield_rate_limited_total";
const DELIVERIES: &str = "jackfield_deliveries_total";
const EVICTED: &str = "jackfield_sessions_evicted_total";
const LEASES_LOST: &str = "jackfield_leases_lost_total";
const REAPED: &str = "jackfield_nodes_reaped_total";
const NODES: &str = "jackfield_nodes";
const REPAIRED: &str = "jackfield_messages_repaired_total";
const RESETS: &str = "jackfield_room_resets_total";
const BUS_MISSED: &str = "jackfield_bus_missed_total";

/// The process's recorder, made on first use; nothing where another library took the place.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let handle = PrometheusBuilder::new().install_recorder().ok()?;
            for (name, kind, help) in METRICS {
                match kind {
                    Kind::Counter => describe_counter!(*name, *help),
                    Kind::Gauge => describe_gauge!(*name, *help),
                }
            }
            Some(handle)
        })
        .as_ref()
}

pub(crate) fn connections(change: i32) {
    gauge!(CONNECTIONS).increment(f64::from(change));
}

pub(crate) fn connected() {
    gauge!(SOCKETS).increment(1);
    counter!(CONNECTS).increment(1);
}

pub(crate) fn disconnected() {
    gauge!(SOCKETS).decrement(1);
}

pub(crate) fn refused(code: &'static str) {
    counter!(REFUSED, "code" => code).increment(1);
}

pub(crate) fn handshake_refused(code: &'static str) {
    counter!(HANDSHAKES_REFUSED, "code" => code).increment(1);
}

pub(crate) fn events(outcome: &'static str) {
    counter!(EVENTS, "outcome" => outcome).increment(1);
}

pub(crate) fn rate_limited() {
    counter!(RATE_LIMITED).increment(1);
}

pub(crate) fn deliveries(count: usize) {
    counter!(DELIVERIES).increment(count as u64);
}

pub(crate) fn evicted() {
    counter!(EVICTED).increment(1);
}

pub(crate) fn lease_lost() {
    counter!(LEASES_LOST).increment(1);
}

pub(crate) fn reaped() {
    counter!(REAPED).increment(1);
}

pub(crate) fn nodes(count: usize) {
    gauge!(NODES).set(count as f64);
}

pub(crate) fn repaired(count: usize) {
    counter!(REPAIRED).increment(count as u64);
}

pub(crate) fn room_reset() {
    counter!(RESETS).increment(1);
}

pub(crate) fn bus_missed() {
    counter!(BUS_MISSED).increment(1);
}
