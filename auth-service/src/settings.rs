//! The auth service's settings, their defaults, and a line of text for each.

use std::time::Duration;

use jackfield_shared::{
    serve::internal_host,
    settings::{Setting, Settings, SettingsError},
    telemetry::LogSettings,
    trace::OtelSettings,
};
use serde::{Deserialize, Serialize};

/// All settings of the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "TABLE documents each")]
pub struct AuthSettings {
    pub port: u16,
    pub host: String,
    pub internal: Internal,
    pub database: Database,
    pub seed: Seed,
    pub token: Token,
    pub password: Password,
    pub login: Login,
    pub register: Register,
    pub cors: Cors,
    pub proxy: Proxy,
    pub log: LogSettings,
    pub otel: OtelSettings,
}

/// Declares a group of settings with their defaults side by side.
macro_rules! group {
    ($name:ident { $($(#[$attribute:meta])* $key:ident: $kind:ty = $default:expr),* $(,)? }) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[expect(missing_docs, reason = "TABLE documents each")]
        pub struct $name { $($(#[$attribute])* pub $key: $kind),* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default),* }
            }
        }
    };
}

group!(Internal { port: u16 = 0, host: String = String::new() });
group!(Database { url: String = "sqlite://jackfield.db".into(), connections: u32 = 10 });
group!(Seed { enabled: bool = false });
group!(Token {
    issuer: String = "jackfield".into(),
    audience: String = "jackfield".into(),
    #[serde(with = "humantime_serde")]
    lifetime: Duration = Duration::from_secs(2 * 60 * 60),
});
group!(Password {
    concurrency: u32 = 0,
    per_address: u32 = 32,
    #[serde(with = "humantime_serde")]
    wait: Duration = Duration::from_secs(15),
});
group!(Login {
    failures: u32 = 10,
    failures_per_address: u32 = 50,
    failures_per_account: u32 = 100,
    #[serde(with = "humantime_serde")]
    window: Duration = Duration::from_secs(15 * 60),
});
group!(Register {
    per_address: u32 = 100,
    #[serde(with = "humantime_serde")]
    window: Duration = Duration::from_secs(60 * 60),
});
group!(Cors { origins: Vec<String> = vec!["http://localhost:*".into(), "http://127.0.0.1:*".into()] });
group!(Proxy { hops: u32 = 0 });

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            port: 3_001,
            host: "0.0.0.0".into(),
            internal: Internal::default(),
            database: Database::default(),
            seed: Seed::default(),
            token: Token::default(),
            password: Password::default(),
            login: Login::default(),
            register: Register::default(),
            cors: Cors::default(),
            proxy: Proxy::default(),
            log: LogSettings::default(),
            otel: OtelSettings::default(),
        }
    }
}

impl Settings for AuthSettings {
    const TABLE: &'static [Setting] = &[
        Setting { key: "port", doc: "Public port: accounts, key set, OpenAPI document" },
        Setting { key: "host", doc: "Address that the public port listens on" },
        Setting { key: "internal.port", doc: "Port of `/healthz`, `/readyz`, `/metrics`; 0 for `port` + 10000" },
        Setting {
            key: "internal.host",
            doc: "Address that the internal port listens on; if empty, that of `host`, or loopback if `host` stands for \
                  all addresses",
        },
        Setting { key: "database.url", doc: "`sqlite://FILE` or `postgres://…`" },
        Setting { key: "database.connections", doc: "Most connections to the database" },
        Setting { key: "seed.enabled", doc: "Creates the demo users, and serves `/api/seed`, which resets them" },
        Setting { key: "token.issuer", doc: "Issuer (`iss`) of the tokens" },
        Setting { key: "token.audience", doc: "Audience (`aud`) of the tokens" },
        Setting { key: "token.lifetime", doc: "How long a token is valid" },
        Setting {
            key: "password.concurrency",
            doc: "Passwords hashed at the same time, 19 MB each; 0 for one per core",
        },
        Setting {
            key: "password.perAddress",
            doc: "Most sign-ins and registrations of one client address that wait to be hashed; 0 for no limit",
        },
        Setting {
            key: "password.wait",
            doc: "Longest wait of a sign-in or registration to be hashed; then it is refused",
        },
        Setting {
            key: "login.failures",
            doc: "Most failed sign-ins to one account from one client address in `login.window`; 0 for no limit",
        },
        Setting {
            key: "login.failuresPerAddress",
            doc: "Most failed sign-ins from one client address in `login.window`, to all accounts; 0 for no limit",
        },
        Setting {
            key: "login.failuresPerAccount",
            doc: "Most failed sign-ins to one account in `login.window`, from all client addresses; above it, each \
                  address gets one attempt per window, so that strangers cannot lock the owner out; 0 for no limit",
        },
        Setting { key: "login.window", doc: "Time in which the limits on failed sign-ins refill, evenly" },
        Setting {
            key: "register.perAddress",
            doc: "Most registrations (and resets of the demo users) from one client address in `register.window`; 0 \
                  for no limit",
        },
        Setting { key: "register.window", doc: "Time in which `register.perAddress` refills, evenly" },
        Setting {
            key: "cors.origins",
            doc: "Origins of web pages that may call the service, besides its own; `*` matches any port or part of a \
                  name",
        },
        Setting {
            key: "proxy.hops",
            doc: "Number of trusted proxies in front, whose `X-Forwarded-For` gives the client's address",
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

impl AuthSettings {
    /// The address that the internal port listens on.
    #[must_use]
    pub fn internal_host(&self) -> &str {
        internal_host(&self.internal.host, &self.host)
    }

    /// The internal port: `internal.port`, or the public one + 10000; 0, for any, where the public one is 0 too.
    ///
    /// # Errors
    /// If `port` + 10000 is not a port.
    pub fn internal_port(&self) -> Result<u16, SettingsError> {
        let too_high = || SettingsError::new("`port` + 10000 is above 65535: set `internal.port` (INTERNAL_PORT)");
        match (self.internal.port, self.port) {
            (0, 0) => Ok(0),
            (0, port) => port.checked_add(10_000).ok_or_else(too_high),
            (port, _) => Ok(port),
        }
    }

    /// Refuses values of the right type that make no sense.
    ///
    /// # Errors
    /// The error names the setting.
    pub fn check(&self) -> Result<(), SettingsError> {
        let must = |good: bool, text: &str| if good { Ok(()) } else { Err(SettingsError::new(text)) };
        must(self.token.lifetime >= Duration::from_secs(1), "setting `token.lifetime` must be at least 1s")?;
        must(!self.token.issuer.is_empty(), "setting `token.issuer` must not be empty")?;
        must(!self.token.audience.is_empty(), "setting `token.audience` must not be empty")?;
        must(self.database.connections >= 1, "setting `database.connections` must be at least 1")?;
        must(!self.login.window.is_zero(), "setting `login.window` must not be 0")?;
        must(!self.register.window.is_zero(), "setting `register.window` must not be 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::{Sources, load, undocumented};

    fn with(overrides: &[&str]) -> AuthSettings {
        let overrides = overrides.iter().map(|pair| (*pair).to_owned()).collect();
        load(&Sources { overrides, ..Sources::default() }).unwrap()
    }

    #[test]
    fn the_table_lists_every_setting() {
        assert_eq!(undocumented::<AuthSettings>(), Vec::<String>::new());
    }

    #[test]
    fn the_internal_port_follows_the_public_one() {
        assert_eq!(with(&[]).internal_port(), Ok(13_001));
        assert_eq!(with(&["port=0"]).internal_port(), Ok(0));
        assert_eq!(with(&["internal.port=7"]).internal_port(), Ok(7));
        assert!(with(&["port=60000"]).internal_port().is_err());
    }

    #[test]
    fn an_invalid_setting_is_named() {
        assert_eq!(with(&[]).check(), Ok(()));
        for key in ["token.lifetime=0s", "database.connections=0", "login.window=0s", "token.issuer="] {
            let error = with(&[key]).check().unwrap_err().to_string();
            assert!(error.contains(key.split_once('=').unwrap().0), "{error}");
        }
    }
}
