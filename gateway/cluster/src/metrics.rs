//! The metrics of the bus and of the connections to Redis. The doc comment is the help text in `/metrics`.

/// A node's connections to Redis.
const LINKS: &[&str] = &["quick", "bulk", "commit", "pubsub"];

/// The durabilities beyond the master's memory.
const BARRIERS: &[&str] = &["replica", "disk"];

jackfield_shared::metric_list! {
    /// Seconds that a probe takes from this node through Redis pub/sub back to this node; two probes per second.
    Histogram BUS_LAG = "jackfield_bus_lag_seconds";
    /// Messages from other nodes that arrived and wait to be handled.
    Gauge BUS_BACKLOG = "jackfield_bus_backlog";
    /// Messages of emitters (`emitter.prefix`), by outcome: `handled`, `ignored` (not for this gateway), `malformed`, or
    /// `dropped` (too long, or too many wait).
    Counter EMITTER = "jackfield_emitter_messages_total" by outcome in &["handled", "ignored", "malformed", "dropped"];
    /// Calls to Redis, by connection.
    Counter REDIS_CALLS = "jackfield_redis_calls_total" by connection in LINKS;
    /// Failed calls to Redis, by connection and kind: `refused` (Redis accepts no writes), `timeout`, or another
    /// `error`.
    Counter REDIS_ERRORS = "jackfield_redis_errors_total" by connection in LINKS, kind in &["error", "refused", "timeout"];
    /// Seconds per call to Redis; the quick connection samples one call in seventeen.
    Histogram REDIS = "jackfield_redis_seconds" by connection in LINKS;
    /// Calls to each Redis (its address, or the name of the master) over the shared connection and the pool, by outcome:
    /// `answered`, or `failed` (no connection, no answer in time, or refused).
    Counter REDIS_SERVER_CALLS = "jackfield_redis_server_calls_total" by server in &[], outcome in &["answered", "failed"];
    /// Redis that this node uses, by state: `up` if what the node publishes there comes back, else `away`. `/readyz`
    /// names them.
    Gauge REDIS_SERVERS = "jackfield_redis_servers" by state in &["up", "away"];
    /// Messages that a rule wants on a replica or on disk, by outcome: `reached`, or `unavailable`: refused, or not
    /// confirmed in time.
    Counter COMMITTED = "jackfield_commits_total" by durable in BARRIERS, outcome in &["reached", "unavailable"];
    /// Seconds per batch of such messages, from sending it until its confirmation.
    Histogram COMMITS = "jackfield_commit_batch_seconds" by durable in BARRIERS;
}
