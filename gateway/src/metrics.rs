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
    "rejected",
    "unavailable",
    "internal",
    OTHER,
];

/// Codes of refused CONNECTs, permanent and temporary.
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
    "refused_by_hook",
    OTHER,
];

/// Reasons of permanent disconnects.
const REASONS: &[&str] =
    &["replaced", "token_expired", "logout", "revoked", "deactivated", "flooding", "ended_by_backend", OTHER];

/// Routes of the HTTP API, as its router declares them.
const ENDPOINTS: &[&str] = &[
    "/v1/batch",
    "/v1/emit",
    "/v1/facts",
    "/v1/feeds/{feed}",
    "/v1/hooks",
    "/v1/hooks/{name}/dead",
    "/v1/hooks/{name}/dead/retry",
    "/v1/nodes",
    "/v1/rooms/{room}/join",
    "/v1/rooms/{room}/leave",
    "/v1/rooms/{room}/members",
    "/v1/rooms/{room}/messages",
    "/v1/stats",
    "/v1/users/{id}",
    "/v1/users/{id}/disconnect",
    "/v1/users/{id}/notifications",
    "/v1/users/{id}/notifications/{notificationId}",
    "/v1/users/{id}/revoke",
    "/v1/users/notifications",
    "/v1/users/status",
    OTHER,
];

/// How calls of hooks end; see [`crate::hook::Outcome`].
pub(crate) const HOOK_OUTCOMES: &[&str] = &[
    "ok",
    "rejected",
    "failed",
    "unavailable",
    "bad_answer",
    "timeout",
    "unreachable",
    "too_many",
    "breaker_open",
    "cancelled",
];

/// Outcomes of attempts to deliver facts; see [`crate::fact`].
pub(crate) const FACT_OUTCOMES: &[&str] = &["delivered", "retried", "dead", "dropped"];

/// Kinds of logs: of rooms, of feeds, or of users.
const LOGS: &[&str] = &["room", "feed", "user"];

jackfield_shared::metric_list! {
    /// Always 1; the label is the running version.
    Gauge BUILD = "jackfield_build_info" by version in &[env!("CARGO_PKG_VERSION")];
    /// 1 if the part is ready, else 0; the node is ready if all parts are 1.
    Gauge READY = "jackfield_ready" by part in &["redis", "pub_sub", "keys", "staying"];
    /// Nodes with a lease, as this node sees them.
    Gauge NODES = "jackfield_nodes";
    /// Leases that this node lost.
    Counter LEASES_LOST = "jackfield_leases_lost_total";
    /// Dead nodes whose sessions this node released.
    Counter REAPED = "jackfield_nodes_reaped_total";

    /// Engine.IO connections on this node.
    Gauge CONNECTIONS = "jackfield_connections";
    /// Most Engine.IO connections that this node accepts; 0 for no limit.
    Gauge CONNECTIONS_LIMIT = "jackfield_connections_limit";
    /// Handshakes admitted, by transport.
    Counter HANDSHAKES = "jackfield_handshakes_total" by transport in &["polling", "websocket"];
    /// Polling connections that requested an upgrade to WebSocket.
    Counter UPGRADES = "jackfield_upgrades_total";
    /// Requests of polling clients passed on to the nodes that have their connections, by transport.
    Counter PASSED_ON = "jackfield_passed_on_total" by transport in &["polling", "websocket"];
    /// Requests of polling clients that could not be passed on, and were answered as if the connection had ended.
    Counter NOT_PASSED_ON = "jackfield_not_passed_on_total"
        by reason in &["not_live", "unreachable", "interrupted", "timeout", "too_many", OTHER];
    /// Polls and WebSockets of other nodes' clients that this node passes on now.
    Gauge PASSING_ON = "jackfield_passing_on";
    /// Handshakes answered with 503, by code.
    Counter HANDSHAKES_REFUSED = "jackfield_handshakes_refused_total"
        by code in &["server_draining", "too_many_connections", "unavailable", OTHER];
    /// Connections closed because the node is draining.
    Counter DRAINED = "jackfield_drained_connections_total";
    /// Sockets in namespaces on this node.
    Gauge SOCKETS = "jackfield_sockets" by namespace in &[];
    /// Sockets that joined a namespace.
    Counter CONNECTS = "jackfield_connects_total";
    /// Clients that wait for their turn to connect, or to join a room. Above 2,048, the node admits no handshakes.
    Gauge TURNSTILE_WAITING = "jackfield_turnstile_waiting" by turnstile in &["connect", "join"];
    /// Clients that came back to `/` or `/chat` and asked for recovery, by outcome.
    Counter RETURNS = "jackfield_returns_total" by outcome in &["recovered", "begun_anew"];
    /// CONNECTs refused, by code.
    Counter REFUSED = "jackfield_connects_refused_total" by code in REFUSALS;

    /// Sessions that this node holds.
    Gauge SESSIONS = "jackfield_sessions";
    /// Claims of sessions, by outcome.
    Counter CLAIMS = "jackfield_session_claims_total" by outcome in &["granted", "refused", "unavailable"];
    /// Sessions ended because a newer session of the user replaced them.
    Counter EVICTED = "jackfield_sessions_evicted_total";
    /// Entries of the list of revocations: revoked tokens and logins, inactive users, changed roles.
    Gauge REVOCATIONS = "jackfield_revocations";
    /// Ended sessions and stays in rooms that wait to be released in the cluster.
    Gauge RELEASES_WAITING = "jackfield_departures_waiting";
    /// Clients disconnected permanently, by reason.
    Counter DISCONNECTED = "jackfield_sent_away_total" by reason in REASONS;
    /// Engine.IO connections that ended, by reason.
    Counter CLOSED = "jackfield_connections_closed_total" by reason in CloseReason::NAMES;
    /// Connections closed because the client did not read its queue fast enough.
    Counter TOO_SLOW = "jackfield_slow_clients_closed_total";
    /// Connections closed because the client sent a malformed packet.
    Counter MALFORMED = "jackfield_malformed_clients_closed_total";

    /// Events answered, by outcome: `ok` or the error's code.
    Counter EVENTS = "jackfield_events_total" by outcome in OUTCOMES;
    /// Events refused because of a rate limit or a full inbox.
    Counter RATE_LIMITED = "jackfield_rate_limited_total";
    /// Frames queued for sockets by fan-out.
    Counter DELIVERIES = "jackfield_deliveries_total";

    /// Rooms that have members on this node.
    Gauge ROOMS = "jackfield_rooms";
    /// Messages stored for clients of this node.
    Counter STORED = "jackfield_messages_stored_total";
    /// Stored messages delivered to a room's members on this node, counted once per message.
    Counter DELIVERED = "jackfield_messages_delivered_total";
    /// Seconds from the request to store a message until it is queued for the last of the room's members on the
    /// sender's node; samples one message at a time per room.
    Histogram DELIVERY = "jackfield_delivery_seconds";
    /// Stored messages read from a log because they did not arrive over the bus.
    Counter REPAIRED = "jackfield_messages_repaired_total" by log in LOGS;
    /// Times that members of a room, subscribers of a feed, or a user's session on this node lost messages or continued
    /// under a new epoch.
    Counter RESETS = "jackfield_room_resets_total" by log in LOGS;

    /// Redis servers that do not give at present the durability that rules promise; `/readyz` has the reasons.
    Gauge UNKEPT = "jackfield_durability_unkept" by durable in &["replica", "disk"];

    /// Calls of backends, by endpoint and status class.
    Counter API_REQUESTS = "jackfield_api_requests_total" by endpoint in ENDPOINTS, status in STATUSES;
    /// Seconds per call of a backend, by endpoint.
    Histogram API = "jackfield_api_request_seconds" by endpoint in ENDPOINTS;

    /// Calls of hooks, by hook and outcome.
    Counter HOOK_CALLS = "jackfield_hook_calls_total" by hook in &[], outcome in HOOK_OUTCOMES;
    /// Seconds per call of a hook that was sent, with its answer, by hook.
    Histogram HOOK = "jackfield_hook_call_seconds" by hook in &[];
    /// Calls of a hook that are open.
    Gauge HOOK_OPEN = "jackfield_hook_calls_open" by hook in &[];
    /// 1 while the breaker of a hook is open, because its backend does not answer, else 0.
    Gauge HOOK_BREAKER_OPEN = "jackfield_hook_breaker_open" by hook in &[];

    /// Facts that were recorded, as the nodes that deliver them see it; zero without hooks that want facts.
    Counter FACTS_RECORDED = "jackfield_facts_recorded_total";
    /// Attempts to deliver facts, by hook and outcome: `delivered`; `retried`: failed, and is sent again; `dead`: given
    /// up; `dropped`: no longer kept when it was due.
    Counter FACTS = "jackfield_facts_total" by hook in &[], outcome in FACT_OUTCOMES;
    /// Seconds since the oldest fact was recorded that waits for its delivery to a hook on this node, parked facts
    /// apart; 0 if none waits.
    Gauge FACTS_LAG = "jackfield_facts_lag_seconds" by hook in &[];
    /// Partitions of the log of facts whose facts this node delivers.
    Gauge FACT_PARTITIONS = "jackfield_fact_partitions";

    /// Times that messages from other nodes may have been lost.
    Counter BUS_MISSED = "jackfield_bus_missed_total";
}
