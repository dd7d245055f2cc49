//! The gateway's metrics, all of them. The doc comment is the help text in `/metrics`; labels come from closed lists.
//!
//! Most gauges are sampled at scrape time ([`crate::ops`]); counters are incremented per event, or once per batch.

use jackfield_engine::CloseReason;
use jackfield_shared::{http::measure::STATUSES, metrics::OTHER};

/// `ok`, and the codes of errors that may answer an event.
pub(crate) const OUTCOMES: &[&str] = &[
    "ok",
    "validation_failed",
    "not_in_room",
    "too_many_rooms",
    "forbidden",
    "rate_limited",
    "payload_too_large",
    "unknown_event",
    "unavailable",
    "internal",
    OTHER,
];

/// Codes of refused CONNECTs.
const REFUSALS: &[&str] = &[
    "missing_token",
    "invalid_token",
    "token_expired",
    "token_revoked",
    "user_inactive",
    "session_conflict",
    "invalid_namespace",
    "unavailable",
    "user_connect_rate",
    OTHER,
];

/// Reasons for disconnecting a client for good.
const REASONS: &[&str] = &["replaced", "token_expired", "flooding", "ended_by_backend", OTHER];

/// Routes of the HTTP API, as they are written.
const ENDPOINTS: &[&str] = &[
    "/v1/emit",
    "/v1/feeds/{feed}",
    "/v1/nodes",
    "/v1/rooms/{room}/members",
    "/v1/rooms/{room}/messages",
    "/v1/stats",
    "/v1/users/{id}",
    "/v1/users/{id}/disconnect",
    "/v1/users/{id}/notifications",
    "/v1/users/{id}/notifications/{notificationId}",
    "/v1/users/notifications",
    "/v1/users/status",
    OTHER,
];

/// Kinds of logs: of rooms, or of feeds.
const LOGS: &[&str] = &["room", "feed"];

jackfield_shared::metric_list! {
    /// Always 1; the label says which version runs.
    Gauge BUILD = "jackfield_build_info" by version in &[env!("CARGO_PKG_VERSION")];
    /// Whether a part is as it has to be for the node to take clients; the node is ready where all parts are 1.
    Gauge READY = "jackfield_ready" by part in &["redis", "pub_sub", "keys", "staying"];
    /// Nodes with a lease, as this node sees them.
    Gauge NODES = "jackfield_nodes";
    /// Times that this node went on under a new lease.
    Counter LEASES_LOST = "jackfield_leases_lost_total";
    /// Nodes that died and that this node cleared up after.
    Counter REAPED = "jackfield_nodes_reaped_total";

    /// Engine.IO connections on this node.
    Gauge CONNECTIONS = "jackfield_connections";
    /// Connections that this node takes at most; 0 for no limit.
    Gauge CONNECTIONS_LIMIT = "jackfield_connections_limit";
    /// Handshakes let in, by the transport that they began with.
    Counter HANDSHAKES = "jackfield_handshakes_total" by transport in &["polling", "websocket"];
    /// Polling connections that asked to become WebSockets.
    Counter UPGRADES = "jackfield_upgrades_total";
    /// Handshakes answered with 503, by code.
    Counter HANDSHAKES_REFUSED = "jackfield_handshakes_refused_total"
        by code in &["server_draining", "too_many_connections", "unavailable", OTHER];
    /// Connections closed because the node is on its way out.
    Counter DRAINED = "jackfield_drained_connections_total";
    /// Sockets in namespaces on this node.
    Gauge SOCKETS = "jackfield_sockets" by namespace in &[];
    /// Sockets that joined a namespace.
    Counter CONNECTS = "jackfield_connects_total";
    /// CONNECTs refused, by code.
    Counter REFUSED = "jackfield_connects_refused_total" by code in REFUSALS;

    /// Sessions that this node holds.
    Gauge SESSIONS = "jackfield_sessions";
    /// Sessions claimed, by what came of it.
    Counter CLAIMS = "jackfield_session_claims_total" by outcome in &["granted", "refused", "unavailable"];
    /// Sessions ended because another of the user took their place.
    Counter EVICTED = "jackfield_sessions_evicted_total";
    /// Sessions and stays in rooms that are over and wait to be given back to the cluster.
    Gauge RELEASES_WAITING = "jackfield_departures_waiting";
    /// Clients sent away for good, by reason.
    Counter DISCONNECTED = "jackfield_sent_away_total" by reason in REASONS;
    /// Engine.IO connections that ended, by reason.
    Counter CLOSED = "jackfield_connections_closed_total" by reason in CloseReason::NAMES;
    /// Connections closed because their queue was full.
    Counter TOO_SLOW = "jackfield_slow_clients_closed_total";
    /// Connections closed because they sent what is no packet of the protocol.
    Counter MALFORMED = "jackfield_malformed_clients_closed_total";

    /// Events handled, by outcome: ok or the error's code.
    Counter EVENTS = "jackfield_events_total" by outcome in OUTCOMES;
    /// Events refused because they came too fast.
    Counter RATE_LIMITED = "jackfield_rate_limited_total";
    /// Frames queued for sockets by fan-out.
    Counter DELIVERIES = "jackfield_deliveries_total";

    /// Rooms that have members on this node.
    Gauge ROOMS = "jackfield_rooms";
    /// Messages that clients of this node had stored.
    Counter STORED = "jackfield_messages_stored_total";
    /// Stored messages handed to the members of a room on this node, once a message and room.
    Counter DELIVERED = "jackfield_messages_delivered_total";
    /// Seconds from asking the log to store a message until it is queued for the last of the room's members on the same
    /// node; by that node's clock, of one message at a time and room.
    Histogram DELIVERY = "jackfield_delivery_seconds";
    /// Stored messages read from a log because the bus did not bring them.
    Counter REPAIRED = "jackfield_messages_repaired_total" by log in LOGS;
    /// Times that a log began anew under members of a room, or readers of a feed, on this node.
    Counter RESETS = "jackfield_room_resets_total" by log in LOGS;

    /// Calls of backends answered, by endpoint and class of status.
    Counter API_REQUESTS = "jackfield_api_requests_total" by endpoint in ENDPOINTS, status in STATUSES;
    /// Seconds that a call of a backend takes, by endpoint.
    Histogram API = "jackfield_api_request_seconds" by endpoint in ENDPOINTS;

    /// Times that messages from other nodes may have been missed.
    Counter BUS_MISSED = "jackfield_bus_missed_total";
}
