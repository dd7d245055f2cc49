//! The gateway's settings, their defaults, and a line of text for each.

use std::time::Duration;

use jackfield_shared::{
    hosts::is_loopback,
    serve::internal_host,
    settings::{Setting, Settings, SettingsError},
    telemetry::LogSettings,
    trace::OtelSettings,
    verify::KeySource,
};
use serde::{Deserialize, Serialize};

use crate::{
    cluster::{
        RedisAccess, RedisTarget, Terms,
        inbox::Keep,
        sessions::{OnConflict, Policy},
    },
    limits::{FloodLimits, Rate, UserLimits},
};

/// As long as what HS256 makes of it: RFC 7518 asks for no less.
const SECRET_BYTES: usize = 32;

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

/// Bytes of a message, of a queue and of an inbox, at least.
const LEAST_MESSAGE: u32 = 1_024;
const LEAST_QUEUE: u32 = 524_288;
const LEAST_INBOX: u32 = 65_536;
/// Binary parts of an event, at most.
const MOST_ATTACHMENTS: u32 = 1_000;

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
        Setting { key: "limits.eventRate", doc: "Events a second of one user; 0 for no limit" },
        Setting { key: "limits.eventBurst", doc: "Events of one user at once" },
        Setting {
            key: "limits.floodStrikes",
            doc: "Refused events that came before the time they were told, less those that passed, until a connection is ended; 0 for never",
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
            doc: "Connections of one address that have shown no good token, this machine's own too; 0 for any number",
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

impl Redis {
    /// Where Redis is and what TLS verifies.
    ///
    /// # Errors
    /// Names the setting, and the file where it is one.
    pub fn target(&self) -> Result<RedisTarget, SettingsError> {
        let Self { url, ca_file, cert_file, key_file, server_name, prefix: _ } = self;
        RedisTarget::new(RedisAccess { url, ca_file, cert_file, key_file, server_name })
    }
}

impl Limits {
    /// How fast events may come.
    #[must_use]
    pub fn flood(&self) -> FloodLimits {
        FloodLimits { rate: Rate::new(self.event_rate, self.event_burst), strikes: self.flood_strikes }
    }

    /// What one user may do.
    #[must_use]
    pub fn user(&self) -> UserLimits {
        UserLimits {
            flood: self.flood(),
            broadcast: Rate::new(self.broadcast_rate, self.broadcast_burst),
            private: Rate::new(self.private_rate, self.private_burst),
            connect: Rate::new(self.user_connect_rate, self.user_connect_burst),
            rooms: Rate::hourly(self.user_rooms),
            bytes: Rate::hourly(self.user_bytes),
        }
    }

    /// How fast one address may connect.
    #[must_use]
    pub fn address_connects(&self) -> Rate {
        Rate::new(self.address_connect_rate, self.address_connect_burst)
    }
}

impl GatewaySettings {
    /// Whether limits and path make sense.
    ///
    /// # Errors
    /// Names the first setting that does not.
    pub fn check(&self) -> Result<(), SettingsError> {
        let limits = &self.limits;
        let wrong = |text: &str| Err(SettingsError::new(format!("setting {text}")));
        if limits.message < LEAST_MESSAGE {
            return wrong("`limits.message` must be at least 1024: a CONNECT with its token has to fit");
        }
        if limits.queue_bytes < LEAST_QUEUE {
            return wrong("`limits.queueBytes` must be at least 524288: a page of a room that was missed has to fit");
        }
        if limits.inbox_bytes < LEAST_INBOX {
            return wrong("`limits.inboxBytes` must be at least 65536: an event has to fit");
        }
        if limits.event_rate > 0 && limits.event_burst == 0 {
            return wrong("`limits.eventBurst` must be at least 1 where `limits.eventRate` is");
        }
        if limits.attachments > MOST_ATTACHMENTS {
            return wrong("`limits.attachments` must be at most 1000");
        }
        if limits.connect_timeout.is_zero() {
            return wrong("`limits.connectTimeout` must be more than 0: connections that join nothing have to end");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        let path = &self.socket.path;
        if !path.starts_with('/') || self.socket_path().is_empty() || !path.chars().all(plain) {
            return wrong("`socket.path` must be such as `/socket.io/`: letters, digits, `/`, `-`, `_`, `.` and `~`");
        }
        Ok(())
    }

    /// `socket.path` without the slash at its end.
    #[must_use]
    pub fn socket_path(&self) -> &str {
        self.socket.path.trim_end_matches('/')
    }

    /// Where the internal port listens.
    #[must_use]
    pub fn internal_host(&self) -> &str {
        internal_host(&self.internal.host, &self.host)
    }

    /// The internal port: `internal.port`, or the public one + 10000.
    ///
    /// # Errors
    /// Where there is no such port.
    pub fn internal_port(&self) -> Result<u16, SettingsError> {
        match self.internal.port {
            0 => self
                .port
                .checked_add(10_000)
                .ok_or_else(|| SettingsError::new("`port` + 10000 is not a port: set `internal.port` (INTERNAL_PORT)")),
            port => Ok(port),
        }
    }

    /// Where the internal port is found.
    #[must_use]
    pub fn address(&self) -> String {
        if !self.node.address.is_empty() {
            return self.node.address.clone();
        }
        let system = rustix::system::uname();
        format!("{}:{}", system.nodename().to_string_lossy(), self.internal_port().unwrap_or_default())
    }

    /// How many sessions a user may have.
    ///
    /// # Errors
    /// Says what may stand there.
    pub fn policy(&self) -> Result<Policy, SettingsError> {
        let limit = match self.session.policy.as_str() {
            "single" => Some(1),
            "multi" => Some(0),
            number => number.parse().ok().filter(|number| *number > 0),
        };
        let limit = limit.ok_or_else(|| {
            SettingsError::new("setting `session.policy` must be `single`, `multi`, or a number from 1")
        })?;
        let on_conflict = match self.session.on_conflict.as_str() {
            "evict" => OnConflict::Evict,
            "reject" => OnConflict::Reject,
            _ => return Err(SettingsError::new("setting `session.onConflict` must be `evict` or `reject`")),
        };
        Ok(Policy { limit, on_conflict })
    }

    /// Where the keys come from. Warns where a secret that can be guessed is taken because only this machine gets in.
    ///
    /// # Errors
    /// Where neither or both of the two ways are configured, or the secret can be guessed.
    pub fn key_source(&self) -> Result<KeySource, SettingsError> {
        match (self.jwt.secret.as_str(), self.jwt.jwks_url.as_str()) {
            ("", "") => Err(SettingsError::new("set `jwt.jwksUrl` (JWT_JWKS_URL) or `jwt.secret` (JWT_SECRET)")),
            (secret, "") if secret.len() < SECRET_BYTES && !is_loopback(&self.host) => {
                Err(SettingsError::new(format!(
                    "setting `jwt.secret` (JWT_SECRET) must have at least {SECRET_BYTES} bytes: a shorter one can be guessed \
                 from any token. It is taken only where `host` (HOST) is a loopback address"
                )))
            }
            (secret, "") => {
                if secret.len() < SECRET_BYTES {
                    tracing::warn!(
                        "setting `jwt.secret` (JWT_SECRET) has fewer than {SECRET_BYTES} bytes: it can be guessed from any \
                         token. It is taken only because `host` is a loopback address"
                    );
                }
                Ok(KeySource::Secret(secret.to_owned()))
            }
            ("", url) => Ok(KeySource::Url(url.to_owned())),
            _ => Err(SettingsError::new("set one of `jwt.jwksUrl` and `jwt.secret`, not both")),
        }
    }

    /// Delay and window of the way out. A cluster of its own has no other node to spare, and no balancer to wait for.
    #[must_use]
    pub fn way_out(&self) -> (Duration, Duration) {
        if self.redis.url.is_empty() { (Duration::ZERO, Duration::ZERO) } else { (self.drain.delay, self.drain.window) }
    }

    /// The terms of leases and absences.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            lease: self.presence.lease,
            grace: self.presence.grace,
            announce_max: self.rooms.announce_max as usize,
            notifications: Keep { most: self.notifications.max as usize, age: self.notifications.max_age },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::{Sources, load, undocumented};

    #[test]
    fn every_setting_is_in_the_table_and_none_besides() {
        assert_eq!(undocumented::<GatewaySettings>(), Vec::<String>::new());
    }

    #[test]
    fn limits_that_make_no_sense_are_refused_by_name() {
        let with = |setting: &str| {
            let overrides = vec![setting.to_owned()];
            load::<GatewaySettings>(&Sources { overrides, ..Sources::default() }).unwrap().check()
        };
        assert_eq!(GatewaySettings::default().check(), Ok(()));
        for (wrong, name) in [
            ("limits.message=0", "limits.message"),
            ("limits.queueBytes=0", "limits.queueBytes"),
            ("limits.inboxBytes=0", "limits.inboxBytes"),
            ("limits.eventBurst=0", "limits.eventBurst"),
            ("limits.attachments=1001", "limits.attachments"),
            ("limits.connectTimeout=0s", "limits.connectTimeout"),
            ("socket.path=sockets", "socket.path"),
            ("socket.path=/", "socket.path"),
            ("socket.path=/{x}", "socket.path"),
        ] {
            let error = with(wrong).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
        for none in ["limits.inbox=0", "limits.queue=0", "limits.payload=0", "limits.queueAge=0s", "socket.path=/a/b/"]
        {
            assert_eq!(with(none), Ok(()), "{none}");
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_for_this_machine_only() {
        let source = |secret: &str, host: &str| {
            let overrides = vec![format!("jwt.secret={secret}"), format!("host={host}")];
            load::<GatewaySettings>(&Sources { overrides, ..Sources::default() }).unwrap().key_source()
        };
        let refused = |secret: &str, host: &str| source(secret, host).err().map(|error| error.to_string());
        let (short, long) = ("s".repeat(31), "s".repeat(32));
        for host in ["0.0.0.0", "::", "10.0.0.1"] {
            let said = refused(&short, host).unwrap();
            assert!(said.contains("JWT_SECRET") && said.contains("32 bytes") && !said.contains(&short), "{said}");
            assert_eq!(refused(&long, host), None);
        }
        assert_eq!(refused("s", "127.0.0.1"), None);
    }

    #[test]
    fn policies() {
        let with = |policy: &str| {
            let overrides = vec![format!("session.policy={policy}")];
            load::<GatewaySettings>(&Sources { overrides, ..Sources::default() }).unwrap().policy()
        };
        assert_eq!(with("single").unwrap().limit, 1);
        assert_eq!(with("multi").unwrap().limit, 0);
        assert_eq!(with("3").unwrap().limit, 3);
        assert!(with("0").is_err() && with("many").is_err());
    }
}
