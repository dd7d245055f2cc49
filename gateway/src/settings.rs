//! The gateway's settings, their defaults, and a help text for each. [`check`] refuses invalid values, [`convert`]
//! turns settings into the types that the rest of the gateway uses, and [`issuers`] makes the verifier of tokens.

mod check;
mod convert;
mod issuer_text;
mod issuers;

use std::time::Duration;

use jackfield_cluster::RedisSettings;
use jackfield_shared::{telemetry::LogSettings, trace::OtelSettings};

jackfield_shared::settings! {
    /// All settings of the gateway.
    pub struct GatewaySettings {
        /// Public port: Socket.IO, and `/v1` if `api.public` is set.
        port: u16 = 3_000,
        /// Address that the public port listens on.
        host: String = "0.0.0.0".into(),
        /// Number of worker threads; 0 for one per core. One is the most efficient: run one node per core.
        workers: u32 = 1,
        /// Engine that speaks to the clients: `native`, or `oxide`, on the library engineioxide.
        engine: String = "native".into(),
        /// Feeds `/ws/v1/<name>`: `name;greeting=TEXT;entity=NAME;read=anyone;update=ROLE+ROLE;keep=N;durable=replica`; by
        /// default, only token holders read, only backends update, nothing is kept for new subscribers, and memory is
        /// durable enough.
        feeds: Vec<String> = vec![PRODUCTS.into()],
        /// Issuers whose tokens are accepted, besides the one of `jwt.…`:
        /// `iss=ISSUER;jwks=URL;aud=AUDIENCE;algorithms=NAME+NAME;id=CLAIM;name=CLAIM;roles=CLAIM;login=CLAIM;users=TEXT`,
        /// with `jwksFile=PATH` or `secretFile=PATH` instead of `jwks=URL`; all but `iss` and the keys may be omitted.
        issuers: Vec<String> = Vec::new(),
        /// Backends that answer events, decide who connects, and get facts:
        /// `name;url=URL;events=PATTERN+PATTERN;namespace=/;timeout=5s;connect;facts=PATTERN+PATTERN;secretFile=PATH+PATH`;
        /// patterns may end in `*`; at least one of `events`, `connect` and `facts`; see docs/hooks.md.
        hooks: Vec<String> = Vec::new(),
        /// Facts that are recorded for backends: `on` for all, or names such as `session.ended`, which may end in `*`;
        /// none by default; see docs/facts.md.
        facts: Vec<String> = Vec::new(),
        groups {
            internal: Internal,
            node: NodeName,
            redis: RedisSettings,
            jwt: Jwt,
            socket: Socket,
            session: SessionRules,
            presence: PresenceRules,
            roster: RosterRules,
            recovery: Recovery,
            revocation: Revocation,
            rooms: RoomSettings,
            notifications: Notifications,
            api: Api,
            emitter: Emitter,
            hook: HookSettings,
            fact: FactSettings,
            events: EventSettings,
            drain: Drain,
            cors: Cors,
            ping: Ping,
            proxy: Proxy,
            limits: Limits,
            log: LogSettings,
            otel: OtelSettings,
        }
    }

    /// `internal.…`
    pub struct Internal {
        /// Port of `/v1`, `/healthz`, `/readyz`, `/metrics`, and for polls that other nodes pass on; 0 for `port` +
        /// 10000.
        port: u16 = 0,
        /// Address that the internal port listens on; if empty, that of `host`, or loopback if `host` stands for all
        /// addresses.
        host: String = String::new(),
    }

    /// `node.…`
    pub struct NodeName {
        /// Name of the node in logs and in the cluster, to which a random part is added; if empty, `gateway`.
        id: String = String::new(),
        /// Host and internal port at which the other nodes reach this one, to pass polls on; if empty, the address that
        /// the internal port listens on, or if that is all addresses, this machine's on the way to Redis.
        address: String = String::new(),
    }

    /// `jwt.…`
    pub struct Jwt {
        /// HS256 secret shared with the issuer, at least 32 bytes; a shorter one is accepted only if `host` is a
        /// loopback address.
        secret: String = String::new(),
        /// URL of the issuer's public keys (EdDSA, RS256, ES256).
        jwks_url: String = String::new(),
        /// Issuer (`iss`) that a token must have; if empty, any that is not one of `issuers`.
        issuer: String = String::new(),
        /// Audience (`aud`) that a token must have; if empty, any.
        audience: String = String::new(),
    }

    /// `socket.…`
    pub struct Socket {
        /// Path of Socket.IO, the same as the clients' option `path`.
        path: String = "/socket.io/".into(),
    }

    /// `session.…`
    pub struct SessionRules {
        /// Most sessions of one user: `single`, `multi` for no limit, or a number.
        policy: String = "single".into(),
        /// Above `session.policy`: `evict` the user's oldest session, or `reject` the new one.
        on_conflict: String = "evict".into(),
    }

    /// `presence.…`
    pub struct PresenceRules {
        /// How long after a user's last socket closed the user is announced offline; a return within it is not
        /// announced.
        #[serde(with = "humantime_serde")]
        grace: Duration = Duration::from_secs(5),
        /// How long a node may be silent before other nodes consider it dead and release its sessions.
        #[serde(with = "humantime_serde")]
        lease: Duration = Duration::from_secs(5),
    }

    /// `roster.…`
    pub struct RosterRules {
        /// Most sockets in `/` for which all sockets get the list of sockets and the presence of all users; above it,
        /// they get the number, and presence by subscription.
        max: u32 = 1_000,
    }

    /// `recovery.…`
    pub struct Recovery {
        /// Whether also clients without `auth: { recover: true }` get offsets, and are recovered when they come back.
        default: bool = false,
        /// How long after its connection ended a client is recovered; its rooms' messages may be kept for less.
        #[serde(with = "humantime_serde")]
        window: Duration = Duration::from_mins(2),
        /// A socket in more rooms is not recovered.
        rooms: u32 = 16,
    }

    /// `revocation.…`
    pub struct Revocation {
        /// How long a revocation by a backend is kept: at least as long as the issuer's tokens are valid.
        #[serde(with = "humantime_serde")]
        window: Duration = Duration::from_hours(24),
    }

    /// `rooms.…`
    pub struct RoomSettings {
        /// Most members of a room for which `user-joined` and `user-left` are sent.
        announce_max: u32 = 200,
        /// Roles that may join and send, and what a message must have reached before it is acknowledged:
        /// `pattern;join=ROLE+ROLE;send=ROLE;durable=memory`, or `replica` or `disk`, see docs/deployment/redis.md; the
        /// first rule whose pattern matches the room's name decides about roles, the first of these with `durable`
        /// about that; patterns may end in `*`.
        rules: Vec<String> = Vec::new(),
    }

    /// `notifications.…`
    pub struct Notifications {
        /// Most notifications that are kept for a user; 0 for no limit.
        max: u32 = 1_000,
        /// How long a notification is kept; `0s` for ever.
        #[serde(with = "humantime_serde")]
        max_age: Duration = Duration::from_hours(30 * 24),
    }

    /// `api.…`
    pub struct Api {
        /// Backends that may call `/v1`: `name:scope+scope:sha256`, with the SHA-256 of the key in hex; scopes: `emit`,
        /// `notify`, `read`, `disconnect`, `publish`, `rooms`, `hooks`.
        keys: Vec<String> = Vec::new(),
        /// Serves `/v1` on the public port, too.
        public: bool = false,
    }

    /// `emitter.…`
    pub struct Emitter {
        /// Delivers what backends publish on the same Redis with `@socket.io/redis-emitter`: the emitter's `key`, by
        /// default `socket.io`; empty for no emitters; see docs/emitter.md.
        prefix: String = String::new(),
    }

    /// `fact.…`
    pub struct FactSettings {
        /// How many facts are kept, about; a million take some 300 MB of Redis.
        max: u32 = 1_000_000,
        /// How long a fact is kept, at least 24 hours.
        #[serde(with = "humantime_serde")]
        max_age: Duration = Duration::from_hours(72),
    }

    /// `hook.…`
    pub struct HookSettings {
        /// Most calls of one hook that are open on this node at the same time; above it, they are refused.
        concurrency: u32 = 256,
    }

    /// `events.…`
    pub struct EventSettings {
        /// Events of the gateway that it does not serve in `/` and `/chat`, so that hooks may handle events of these
        /// names, such as `message` and `typing`.
        off: Vec<String> = Vec::new(),
    }

    /// `drain.…`
    pub struct Drain {
        /// After SIGTERM, how long to keep serving while load balancers take the node out; skipped without Redis.
        #[serde(with = "humantime_serde")]
        delay: Duration = Duration::from_secs(3),
        /// After `drain.delay`, the time over which the node closes its connections, evenly; skipped without Redis.
        #[serde(with = "humantime_serde")]
        window: Duration = Duration::from_secs(10),
    }

    /// `cors.…`
    pub struct Cors {
        /// Origins of web pages that may connect, besides the gateway's own; `*` matches any port or part of a name.
        origins: Vec<String> = vec!["http://localhost:*".into(), "http://127.0.0.1:*".into()],
    }

    /// `ping.…`
    pub struct Ping {
        /// Time between two pings of the server.
        #[serde(with = "humantime_serde")]
        interval: Duration = Duration::from_secs(25),
        /// How long a client may take to answer a ping before its connection is closed.
        #[serde(with = "humantime_serde")]
        timeout: Duration = Duration::from_secs(20),
    }

    /// `proxy.…`
    pub struct Proxy {
        /// Number of trusted proxies in front, whose `X-Forwarded-For` gives the client's address.
        hops: u32 = 0,
    }

    /// `limits.…`
    pub struct Limits {
        /// Events per second of one user, where each 16 KiB of an event count as one more; 0 for no limit.
        event_rate: u32 = 100,
        /// Events of one user at once.
        event_burst: u32 = 1_000,
        /// Most strikes of a connection before it is closed as flooding; an event that is refused and came before the
        /// time to retry adds its count as in `limits.eventRate`, an accepted one subtracts it; 0 for never.
        flood_strikes: u32 = 500,
        /// Events per second of one user to a whole namespace (`message-client`, `message` without a room,
        /// `updateProduct`); 0 for no limit.
        broadcast_rate: u32 = 5,
        /// Events of one user to a whole namespace at once.
        broadcast_burst: u32 = 20,
        /// `private-message` per second from one user to one other user, four times as many to all others together; 0
        /// for no limit.
        private_rate: u32 = 10,
        /// `private-message` from one user to one other user at once, four times as many to all others together.
        private_burst: u32 = 50,
        /// Connects per second of one user; 0 for no limit.
        user_connect_rate: u32 = 2,
        /// Connects of one user at once.
        user_connect_burst: u32 = 50,
        /// Rooms in which one user may store the first message, at once, and as many again per hour; 0 for no limit.
        user_rooms: u32 = 1_000,
        /// Bytes that one user may store in rooms, at once, and as many again per hour; 0 for no limit.
        user_bytes: u32 = 64 * 1024 * 1024,
        /// Most bytes of one event, binary parts included; 0 for no limit below `limits.message`.
        payload: u32 = 65_536,
        /// Most bytes of one message on the wire; a longer one closes the connection.
        message: u32 = 1_000_000,
        /// Most binary parts of one event, up to 1000.
        attachments: u32 = 10,
        /// Most events of one connection that wait to be handled; above it, events are refused; 0 for no limit.
        inbox: u32 = 1_024,
        /// Most bytes of one connection's events that wait to be handled; above it, events are refused.
        inbox_bytes: u32 = 1_048_576,
        /// Most frames that wait to be sent on one connection; above it, the connection is closed as too slow; 0 for no
        /// limit.
        queue: u32 = 2_048,
        /// Most bytes that wait to be sent on one connection; above it, the connection is closed as too slow.
        queue_bytes: u32 = 1_048_576,
        /// Bytes of a connection that the kernel may hold for a client that does not read, besides those in the queue; 0
        /// for as many as the kernel likes, which can be megabytes. With less, a burst of answers reaches
        /// `limits.queueBytes` sooner, and a client far away gets at most this much per round trip.
        send_buffer: u32 = 0,
        /// If more than 64 KiB wait to be sent on one connection, how long the client may take to read the bytes queued
        /// so far before the connection is closed as too slow; `0s` for no limit.
        #[serde(with = "humantime_serde")]
        queue_age: Duration = Duration::from_secs(20),
        /// Fewest bytes from which the answer to a poll is compressed, if the client accepts that; 0 for never.
        compression: u32 = 1_024,
        /// Most rooms of one socket; 0 for no limit.
        rooms: u32 = 100,
        /// Most connections of this node; 0 for no limit.
        connections: u32 = 100_000,
        /// New connections per second on this node; 0 for no limit.
        connect_rate: u32 = 0,
        /// New connections per second from one address (IPv6: one /64), except loopback; 0 for no limit.
        address_connect_rate: u32 = 500,
        /// New connections from one address at once, except loopback.
        address_connect_burst: u32 = 5_000,
        /// Most connections of one address, loopback included, from which no token was accepted; set it far below
        /// `limits.connections`; 0 for no limit.
        address_pending: u32 = 1_000,
        /// How long a connection may be in no namespace before it is closed.
        #[serde(with = "humantime_serde")]
        connect_timeout: Duration = Duration::from_secs(10),
    }
}

/// The default feed.
const PRODUCTS: &str = "productos;greeting=Updates Notifications WS: Productos - Tienda API NestJS;\
    read=anyone;update=ADMIN+SUPERUSER";
