//! The gateway's settings, their defaults, and a help text for each. [`check`] refuses invalid values, [`convert`] turns
//! settings into the types that the rest of the gateway uses.

mod check;
mod convert;

use std::time::Duration;

use jackfield_shared::{
    settings::{Setting, Settings},
    telemetry::LogSettings,
    trace::OtelSettings,
};
use serde::{Deserialize, Serialize};

/// All settings of the gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "TABLE documents each")]
pub struct GatewaySettings {
    pub port: u16,
    pub host: String,
    pub workers: u32,
    pub internal: Internal,
    pub node: NodeName,
    pub redis: Redis,
    pub jwt: Jwt,
    pub socket: Socket,
    pub session: SessionRules,
    pub presence: PresenceRules,
    pub roster: RosterRules,
    pub rooms: RoomSettings,
    pub notifications: Notifications,
    pub feeds: Vec<String>,
    pub api: Api,
    pub drain: Drain,
    pub cors: Cors,
    pub ping: Ping,
    pub proxy: Proxy,
    pub limits: Limits,
    pub log: LogSettings,
    pub otel: OtelSettings,
}

/// Declares a group of settings with their defaults side by side.
macro_rules! section {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty = $default:expr),* $(,)? }) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[expect(missing_docs, reason = "TABLE documents each")]
        pub struct $name { $($(#[$attribute])* pub $field: $kind),* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default),* }
            }
        }
    };
}

section!(Internal { port: u16 = 0, host: String = String::new() });
section!(NodeName { id: String = String::new(), address: String = String::new() });
section!(Redis {
    url: String = String::new(),
    prefix: String = "jackfield".into(),
    ca_file: String = String::new(),
    cert_file: String = String::new(),
    key_file: String = String::new(),
    server_name: String = String::new(),
});
section!(Jwt {
    secret: String = String::new(),
    jwks_url: String = String::new(),
    issuer: String = String::new(),
    audience: String = String::new(),
});
section!(Socket { path: String = "/socket.io/".into() });
section!(SessionRules { policy: String = "single".into(), on_conflict: String = "evict".into() });
section!(PresenceRules {
    #[serde(with = "humantime_serde")]
    grace: Duration = Duration::from_secs(5),
    #[serde(with = "humantime_serde")]
    lease: Duration = Duration::from_secs(5),
});
section!(RosterRules { max: u32 = 1_000 });
section!(RoomSettings { announce_max: u32 = 200, rules: Vec<String> = Vec::new() });
section!(Notifications {
    max: u32 = 1_000,
    #[serde(with = "humantime_serde")]
    max_age: Duration = Duration::from_hours(30 * 24),
});
section!(Api { keys: Vec<String> = Vec::new(), public: bool = false });
section!(Drain {
    #[serde(with = "humantime_serde")]
    delay: Duration = Duration::from_secs(3),
    #[serde(with = "humantime_serde")]
    window: Duration = Duration::from_secs(10),
});
section!(Cors { origins: Vec<String> = vec!["http://localhost:*".into(), "http://127.0.0.1:*".into()] });
section!(Ping {
    #[serde(with = "humantime_serde")]
    interval: Duration = Duration::from_secs(25),
    #[serde(with = "humantime_serde")]
    timeout: Duration = Duration::from_secs(20),
});
section!(Proxy { hops: u32 = 0 });
section!(Limits {
    event_rate: u32 = 100,
    event_burst: u32 = 1_000,
    flood_strikes: u32 = 500,
    broadcast_rate: u32 = 5,
    broadcast_burst: u32 = 20,
    private_rate: u32 = 10,
    private_burst: u32 = 50,
    user_connect_rate: u32 = 2,
    user_connect_burst: u32 = 50,
    user_rooms: u32 = 1_000,
    user_bytes: u32 = 64 * 1024 * 1024,
    payload: u32 = 65_536,
    message: u32 = 1_000_000,
    attachments: u32 = 10,
    inbox: u32 = 1_024,
    inbox_bytes: u32 = 1_048_576,
    queue: u32 = 1_024,
    queue_bytes: u32 = 1_048_576,
    #[serde(with = "humantime_serde")]
    queue_age: Duration = Duration::from_secs(20),
    compression: u32 = 1_024,
    rooms: u32 = 100,
    connections: u32 = 100_000,
    connect_rate: u32 = 0,
    address_connect_rate: u32 = 500,
    address_connect_burst: u32 = 5_000,
    address_pending: u32 = 1_000,
    #[serde(with = "humantime_serde")]
    connect_timeout: Duration = Duration::from_secs(10),
});

/// The default feed.
const PRODUCTS: &str = "productos;greeting=Updates Notifications WS: Productos - Tienda API NestJS;\
    read=anyone;update=ADMIN+SUPERUSER";

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            port: 3_000,
            host: "0.0.0.0".into(),
            workers: 1,
            internal: Internal::default(),
            node: NodeName::default(),
            redis: Redis::default(),
            jwt: Jwt::default(),
            socket: Socket::default(),
            session: SessionRules::default(),
            presence: PresenceRules::default(),
            roster: RosterRules::default(),
            rooms: RoomSettings::default(),
            notifications: Notifications::default(),
            feeds: vec![PRODUCTS.into()],
            api: Api::default(),
            drain: Drain::default(),
            cors: Cors::default(),
            ping: Ping::default(),
            proxy: Proxy::default(),
            limits: Limits::default(),
            log: LogSettings::default(),
            otel: OtelSettings::default(),
        }
    }
}

impl Settings for GatewaySettings {
    const TABLE: &'static [Setting] = &[
        Setting { key: "port", doc: "Public port: Socket.IO, and `/v1` if `api.public` is set" },
        Setting { key: "host", doc: "Address that the public port listens on" },
        Setting {
            key: "workers",
            doc: "Number of worker threads; 0 for one per core. One is the most efficient: run one node per core",
        },
        Setting { key: "internal.port", doc: "Port of `/v1`, `/healthz`, `/readyz`, `/metrics`; 0 for `port` + 10000" },
        Setting {
            key: "internal.host",
            doc: "Address that the internal port listens on; if empty, that of `host`, or loopback if `host` stands for \
                  all addresses",
        },
        Setting {
            key: "node.id",
            doc: "Name of the node in logs and in the cluster, to which a random part is added; if empty, `gateway`",
        },
        Setting {
            key: "node.address",
            doc: "Host and internal port of the node, as `/v1/nodes` shows them; if empty, the machine's host name and \
                  the internal port",
        },
        Setting {
            key: "redis.url",
            doc: "`redis://user:password@host:port/database`, or `rediss://` for TLS, with user and password \
                  percent-encoded; if empty, the node is a cluster of its own, in memory",
        },
        Setting { key: "redis.prefix", doc: "Prefix of every key and channel in Redis; each cluster needs its own" },
        Setting {
            key: "redis.caFile",
            doc: "PEM file of the authorities that may sign Redis's certificate; if empty, the public ones",
        },
        Setting { key: "redis.certFile", doc: "PEM file of the client certificate, with its chain" },
        Setting { key: "redis.keyFile", doc: "PEM file of the client certificate's private key" },
        Setting {
            key: "redis.serverName",
            doc: "Name that Redis's certificate must have; if empty, the host in `redis.url`",
        },
        Setting {
            key: "jwt.secret",
            doc: "HS256 secret shared with the issuer, at least 32 bytes; a shorter one is accepted only if `host` is a \
                  loopback address",
        },
        Setting { key: "jwt.jwksUrl", doc: "URL of the issuer's public keys (EdDSA, RS256, ES256)" },
        Setting { key: "jwt.issuer", doc: "Issuer (`iss`) that a token must have; if empty, any" },
        Setting { key: "jwt.audience", doc: "Audience (`aud`) that a token must have; if empty, any" },
        Setting { key: "socket.path", doc: "Path of Socket.IO, the same as the clients' option `path`" },
        Setting {
            key: "session.policy",
            doc: "Most sessions of one user: `single`, `multi` for no limit, or a number",
        },
        Setting {
            key: "session.onConflict",
            doc: "Above `session.policy`: `evict` the user's oldest session, or `reject` the new one",
        },
        Setting {
            key: "presence.grace",
            doc: "How long after a user's last socket closed the user is announced offline; a return within it is \
                  not announced",
        },
        Setting {
            key: "presence.lease",
            doc: "How long a node may be silent before other nodes consider it dead and release its sessions",
        },
        Setting {
            key: "roster.max",
            doc: "Most sockets in `/` for which all sockets get the list of sockets and the presence of all users; above \
                  it, they get the number, and presence by subscription",
        },
        Setting {
            key: "rooms.announceMax",
            doc: "Most members of a room for which `user-joined` and `user-left` are sent",
        },
        Setting {
            key: "rooms.rules",
            doc: "Roles that may join and send: `pattern;join=ROLE+ROLE;send=ROLE`; the first rule whose pattern matches \
                  the room's name decides, and patterns may end in `*`",
        },
        Setting { key: "notifications.max", doc: "Most notifications that are kept for a user; 0 for no limit" },
        Setting { key: "notifications.maxAge", doc: "How long a notification is kept; `0s` for ever" },
        Setting {
            key: "feeds",
            doc: "Feeds `/ws/v1/<name>`: `name;greeting=TEXT;entity=NAME;read=anyone;update=ROLE+ROLE;keep=N`; by default, \
                  only token holders read, only backends update, and nothing is kept for new subscribers",
        },
        Setting {
            key: "api.keys",
            doc: "Backends that may call `/v1`: `name:scope+scope:sha256`, with the SHA-256 of the key in hex; scopes: \
                  `emit`, `notify`, `read`, `disconnect`, `publish`",
        },
        Setting { key: "api.public", doc: "Serves `/v1` on the public port, too" },
        Setting {
            key: "drain.delay",
            doc: "After SIGTERM, how long to keep serving while load balancers take the node out; skipped without Redis",
        },
        Setting {
            key: "drain.window",
            doc: "After `drain.delay`, the time over which the node closes its connections, evenly; skipped without Redis",
        },
        Setting {
            key: "cors.origins",
            doc: "Origins of web pages that may connect, besides the gateway's own; `*` matches any port or part of a \
                  name",
        },
        Setting { key: "ping.interval", doc: "Time between two pings of the server" },
        Setting {
            key: "ping.timeout",
            doc: "How long a client may take to answer a ping before its connection is closed",
        },
        Setting {
            key: "proxy.hops",
            doc: "Number of trusted proxies in front, whose `X-Forwarded-For` gives the client's address",
        },
        Setting {
            key: "limits.eventRate",
            doc: "Events per second of one user, where each 16 KiB of an event count as one more; 0 for no limit",
        },
        Setting { key: "limits.eventBurst", doc: "Events of one user at once" },
        Setting {
            key: "limits.floodStrikes",
            doc: "Most strikes of a connection before it is closed as flooding; an event that is refused and came before \
                  the time to retry adds its count as in `limits.eventRate`, an accepted one subtracts it; 0 for never",
        },
        Setting {
            key: "limits.broadcastRate",
            doc: "Events per second of one user to a whole namespace (`message-client`, `message` without a room, \
                  `updateProduct`); 0 for no limit",
        },
        Setting { key: "limits.broadcastBurst", doc: "Events of one user to a whole namespace at once" },
        Setting {
            key: "limits.privateRate",
            doc: "`private-message` per second from one user to one other user, four times as many to all others \
                  together; 0 for no limit",
        },
        Setting {
            key: "limits.privateBurst",
            doc: "`private-message` from one user to one other user at once, four times as many to all others together",
        },
        Setting { key: "limits.userConnectRate", doc: "Connects per second of one user; 0 for no limit" },
        Setting { key: "limits.userConnectBurst", doc: "Connects of one user at once" },
        Setting {
            key: "limits.userRooms",
            doc: "Rooms in which one user may store the first message, at once, and as many again per hour; 0 for no \
                  limit",
        },
        Setting {
            key: "limits.userBytes",
            doc: "Bytes that one user may store in rooms, at once, and as many again per hour; 0 for no limit",
        },
        Setting {
            key: "limits.payload",
            doc: "Most bytes of one event, binary parts included; 0 for no limit below `limits.message`",
        },
        Setting {
            key: "limits.message",
            doc: "Most bytes of one message on the wire; a longer one closes the connection",
        },
        Setting { key: "limits.attachments", doc: "Most binary parts of one event, up to 1000" },
        Setting {
            key: "limits.inbox",
            doc: "Most events of one connection that wait to be handled; above it, events are refused; 0 for no limit",
        },
        Setting {
            key: "limits.inboxBytes",
            doc: "Most bytes of one connection's events that wait to be handled; above it, events are refused",
        },
        Setting {
            key: "limits.queue",
            doc: "Most frames that wait to be sent on one connection; above it, the connection is closed as too slow; \
                  0 for no limit",
        },
        Setting {
            key: "limits.queueBytes",
            doc: "Most bytes that wait to be sent on one connection; above it, the connection is closed as too slow",
        },
        Setting {
            key: "limits.queueAge",
            doc: "If more than 64 KiB wait to be sent on one connection, how long the client may take to read the bytes \
                  queued so far before the connection is closed as too slow; `0s` for no limit",
        },
        Setting {
            key: "limits.compression",
            doc: "Fewest bytes from which the answer to a poll is compressed, if the client accepts that; 0 for never",
        },
        Setting { key: "limits.rooms", doc: "Most rooms of one socket; 0 for no limit" },
        Setting { key: "limits.connections", doc: "Most connections of this node; 0 for no limit" },
        Setting { key: "limits.connectRate", doc: "New connections per second on this node; 0 for no limit" },
        Setting {
            key: "limits.addressConnectRate",
            doc: "New connections per second from one address (IPv6: one /64), except loopback; 0 for no limit",
        },
        Setting { key: "limits.addressConnectBurst", doc: "New connections from one address at once, except loopback" },
        Setting {
            key: "limits.addressPending",
            doc: "Most connections of one address, loopback included, from which no token was accepted; set it far below \
                  `limits.connections`; 0 for no limit",
        },
        Setting {
            key: "limits.connectTimeout",
            doc: "How long a connection may be in no namespace before it is closed",
        },
        Setting { key: "log.format", doc: "`pretty` or `json`" },
        Setting { key: "log.level", doc: "`error`, `warn`, `info`, `debug`, or a filter by module" },
        Setting {
            key: "otel.exporterOtlpEndpoint",
            doc: "URL of a collector that accepts traces over OTLP/HTTP, such as `http://collector:4318`; empty for no \
                  traces",
        },
        Setting { key: "otel.tracesSamplerArg", doc: "Fraction of all traces that is recorded, from 0 to 1" },
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::undocumented;

    #[test]
    fn the_table_lists_every_setting() {
        assert_eq!(undocumented::<GatewaySettings>(), Vec::<String>::new());
    }
}
