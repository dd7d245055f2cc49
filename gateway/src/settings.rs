//! The gateway's settings, their defaults, and a line of text for each. [`check`] refuses what makes no sense, [`meaning`]
//! has them as the rest of the gateway takes them.

mod check;
mod meaning;

use std::time::Duration;

use jackfield_shared::{
    settings::{Setting, Settings},
    telemetry::LogSettings,
    trace::OtelSettings,
};
use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "TABLE says what each is")]
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

macro_rules! section {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty = $default:expr),* $(,)? }) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[expect(missing_docs, reason = "TABLE says what each is")]
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

/// The feed that every gateway has where the configuration names none.
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
        Setting { key: "port", doc: "Public port: Socket.IO" },
        Setting { key: "host", doc: "Address that the public port is on" },
        Setting {
            key: "workers",
            doc: "Worker threads; 1 does most per core, so run a node for each; 0 for one per core",
        },
        Setting { key: "internal.port", doc: "Port of `/v1`, `/healthz`, `/readyz`, `/metrics`; 0 for `port` + 10000" },
        Setting {
            key: "internal.host",
            doc: "Address that the internal port is on; none: that of `host`, or loopback where that is all addresses",
        },
        Setting { key: "node.id", doc: "Name of the node in logs and in the cluster; none for a random one" },
        Setting {
            key: "node.address",
            doc: "Where other nodes and `/v1/nodes` find its internal port; none: the host's name and `internal.port`",
        },
        Setting {
            key: "redis.url",
            doc: "`redis://user:password@host:port/database`, `rediss://` for TLS, user and password percent-encoded; \
                  none: the node is a cluster of its own, in memory",
        },
        Setting { key: "redis.prefix", doc: "What every key and channel starts with; one for each cluster" },
        Setting {
            key: "redis.caFile",
            doc: "PEM file of the authorities that Redis's certificate must be from; none: the public ones",
        },
        Setting { key: "redis.certFile", doc: "PEM file of the client certificate, with its chain" },
        Setting { key: "redis.keyFile", doc: "PEM file of its private key" },
        Setting {
            key: "redis.serverName",
            doc: "Name that Redis's certificate must have; none: the host of `redis.url`",
        },
        Setting {
            key: "jwt.secret",
            doc: "HS256 secret shared with the issuer, at least 32 bytes; a shorter one is taken only where `host` is a \
                  loopback address",
        },
        Setting { key: "jwt.jwksUrl", doc: "Where the issuer's public keys are (EdDSA, RS256, ES256)" },
        Setting { key: "jwt.issuer", doc: "`iss` that a token must have; none for any" },
        Setting { key: "jwt.audience", doc: "`aud` that a token must have; none for any" },
        Setting { key: "socket.path", doc: "Path of Socket.IO, as the clients' option `path` names it" },
        Setting { key: "session.policy", doc: "Sessions a user may have: `single`, `multi`, or a number" },
        Setting {
            key: "session.onConflict",
            doc: "Who loses beyond that: `evict` the oldest, or `reject` the newcomer",
        },
        Setting { key: "presence.grace", doc: "How long a user may be away before being announced offline" },
        Setting { key: "presence.lease", doc: "How long a node may be silent before its users are taken to be away" },
        Setting { key: "roster.max", doc: "Sockets in `/` up to which everybody is told of everybody" },
        Setting { key: "rooms.announceMax", doc: "Members up to which a room is told of comings and goings" },
        Setting {
            key: "rooms.rules",
            doc: "Who may join and send, first fit: `pattern;join=ROLE+ROLE;send=ROLE`, patterns may end in `*`",
        },
        Setting { key: "notifications.max", doc: "Notifications that are kept for a user; 0 for any number" },
        Setting { key: "notifications.maxAge", doc: "How long a notification is kept; `0s` for ever" },
        Setting {
            key: "feeds",
            doc: "`/ws/v1/<name>`: `name;greeting=TEXT;entity=NAME;read=anyone;update=ROLE+ROLE;keep=N`; unless it is said, \
                  read with a token, updated by backends only, and nothing kept for new readers",
        },
        Setting {
            key: "api.keys",
            doc: "Backends that may call `/v1`: `name:scope+scope:sha256`, the SHA-256 of the key in hex; scopes: `emit`, `notify`, `read`, `disconnect`, `publish`",
        },
        Setting { key: "api.public", doc: "Whether `/v1` is on the public port too" },
        Setting {
            key: "drain.delay",
            doc: "At its end, how long a node of several goes on while balancers notice that it is unready",
        },
        Setting { key: "drain.window", doc: "After that, the time over which its clients are sent away" },
        Setting {
            key: "cors.origins",
            doc: "Origins of pages that may connect besides one's own; `*` stands for any port or part",
        },
        Setting { key: "ping.interval", doc: "Between two pings of the server" },
        Setting { key: "ping.timeout", doc: "Without an answer to a ping for this long, a connection is over" },
        Setting {
            key: "proxy.hops",
            doc: "Proxies in front, whose `X-Forwarded-For` is believed for the client's address",
        },
        Setting {
            key: "limits.eventRate",
            doc: "Events a second of one user, where each 16 KiB of an event count as one more; 0 for no limit",
        },
        Setting { key: "limits.eventBurst", doc: "Events of one user at once" },
        Setting {
            key: "limits.floodStrikes",
            doc: "Refused events that came before the time they were told, counted as for `limits.eventRate`, less those that passed, until a connection is ended; 0 for never",
        },
        Setting {
            key: "limits.broadcastRate",
            doc: "Events a second of one user to a whole namespace (`message-client`, `message` without a room, `updateProduct`); 0 for no limit",
        },
        Setting { key: "limits.broadcastBurst", doc: "Of these, at once" },
        Setting {
            key: "limits.privateRate",
            doc: "`private-message` a second from one user to one other, four times as many to all; 0 for no limit",
        },
        Setting { key: "limits.privateBurst", doc: "Of these, at once" },
        Setting { key: "limits.userConnectRate", doc: "Connects a second of one user; 0 for no limit" },
        Setting { key: "limits.userConnectBurst", doc: "Connects of one user at once" },
        Setting {
            key: "limits.userRooms",
            doc: "Rooms that one user begins by a first stored message, at once, and as many again in an hour; 0 for no limit",
        },
        Setting {
            key: "limits.userBytes",
            doc: "Bytes that one user stores in rooms, at once, and as many again in an hour; 0 for no limit",
        },
        Setting {
            key: "limits.payload",
            doc: "Bytes of one event, binary parts included; 0 for none below `limits.message`",
        },
        Setting { key: "limits.message", doc: "Bytes of one message on the wire; more ends the connection" },
        Setting { key: "limits.attachments", doc: "Binary parts of one event; at most 1000" },
        Setting { key: "limits.inbox", doc: "Events of one connection that wait to be handled; 0 for none" },
        Setting { key: "limits.inboxBytes", doc: "Bytes of the events of one connection that wait to be handled" },
        Setting {
            key: "limits.queue",
            doc: "Frames that wait for one connection, which is closed as too slow beyond that; 0 for none",
        },
        Setting {
            key: "limits.queueBytes",
            doc: "Bytes that wait for one connection, which is closed as too slow beyond that",
        },
        Setting {
            key: "limits.queueAge",
            doc: "How long a queue of more than 64 KiB may take to move on before its connection is closed; `0s` for any time",
        },
        Setting {
            key: "limits.compression",
            doc: "Bytes from which the answer to a poll is compressed for clients that accept it; 0 for never",
        },
        Setting { key: "limits.rooms", doc: "Rooms that one socket may be in; 0 for none" },
        Setting { key: "limits.connections", doc: "Connections of this node; 0 for none" },
        Setting { key: "limits.connectRate", doc: "New connections a second on this node; 0 for none" },
        Setting {
            key: "limits.addressConnectRate",
            doc: "New connections a second from one address (IPv6: one /64), other than this machine's own; 0 for no limit",
        },
        Setting { key: "limits.addressConnectBurst", doc: "New connections from one address at once" },
        Setting {
            key: "limits.addressPending",
            doc: "Connections of one address that have shown no good token, this machine's own too: much less than `limits.connections`; 0 for any number",
        },
        Setting { key: "limits.connectTimeout", doc: "How long a connection may be in no namespace" },
        Setting { key: "log.format", doc: "`pretty` or `json`" },
        Setting { key: "log.level", doc: "`error`, `warn`, `info`, `debug`, or a filter by module" },
        Setting {
            key: "otel.exporterOtlpEndpoint",
            doc: "Where a collector takes traces over OTLP/HTTP, such as `http://collector:4318`; empty for none",
        },
        Setting { key: "otel.tracesSamplerArg", doc: "The part of all traces that is recorded, from 0 to 1" },
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::undocumented;

    #[test]
    fn every_setting_is_in_the_table_and_none_besides() {
        assert_eq!(undocumented::<GatewaySettings>(), Vec::<String>::new());
    }
}
