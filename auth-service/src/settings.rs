//! The auth service's settings, their defaults, and a line of text for each.

use std::time::Duration;

use jackfield_shared::{
    serve::internal_host,
    settings::{Setting, Settings, SettingsError},
    telemetry::LogSettings,
    trace::OtelSettings,
};
use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "TABLE says what each is")]
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
        #[expect(missing_docs, reason = "TABLE says what each is")]
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
        Setting { key: "port", doc: "Public port: accounts, key set, API document" },
        Setting { key: "host", doc: "Address that the public port is on" },
        Setting { key: "internal.port", doc: "Port of `/healthz`, `/readyz`, `/metrics`; 0 for `port` + 10000" },
        Setting {
            key: "internal.host",
            doc: "Address that the internal port is on; none: that of `host`, or loopback where that is all addresses",
        },
        Setting { key: "database.url", doc: "`sqlite://FILE` or `postgres://…`" },
        Setting { key: "database.connections", doc: "Connections to the database, at most" },
        Setting { key: "seed.enabled", doc: "Makes the demo users, and serves `/api/seed`, which resets them" },
        Setting { key: "token.issuer", doc: "`iss` of the tokens" },
        Setting { key: "token.audience", doc: "`aud` of the tokens" },
        Setting { key: "token.lifetime", doc: "How long a token is good for" },
        Setting { key: "password.concurrency", doc: "Passwords hashed at the same time, 19 MB each; 0 for one a core" },
        Setting {
            key: "password.perAddress",
            doc: "Sign-ins and registrations of one client address that may wait to be hashed; 0 for no limit",
        },
        Setting { key: "password.wait", doc: "How long a sign-in may wait to be hashed" },
        Setting {
            key: "login.failures",
            doc: "Failed sign-ins to one account from one client address in `login.window`; 0 for no limit",
        },
        Setting {
            key: "login.failuresPerAddress",
            doc: "Failed sign-ins from one client address in `login.window`, to any accounts; 0 for no limit",
        },
        Setting {
            key: "login.failuresPerAccount",
            doc: "Failed sign-ins to one account in `login.window`, from any addresses; then an address gets one try, so \
                  that no stranger locks the owner out; 0 for no limit",
        },
        Setting { key: "login.window", doc: "The time in which failed sign-ins are forgotten, evenly" },
        Setting {
            key: "register.perAddress",
            doc: "Registrations (and resets of the demo users) from one client address in `register.window`; 0 for no \
                  limit",
        },
        Setting { key: "register.window", doc: "The time in which `register.perAddress` come back" },
        Setting {
            key: "cors.origins",
            doc: "Origins of pages that may connect besides one's own; `*` stands for any port or part",
        },
        Setting {
            key: "proxy.hops",
            doc: "Proxies in front, whose `X-Forwarded-For` is believed for the client's address",
        },
        Setting { key: "log.format", doc: "`pretty` or `json`" },
        Setting { key: "log.level", doc: "`error`, `warn`, `info`, `debug`, or a filter by module" },
        Setting {
            key: "otel.exporterOtlpEndpoint",
            doc: "Where a collector takes traces over OTLP/HTTP, such as `http://collector:4318`; empty for none",
        },
        Setting { key: "otel.tracesSamplerArg", doc: "The part of all traces that is recorded, from 0 to 1" },
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
        let absent = || SettingsError::new("`port` + 10000 is not a port: set `internal.port` (INTERNAL_PORT)");
        match (self.internal.port, self.port) {
            (0, 0) => Ok(0),
            (0, port) => port.checked_add(10_000).ok_or_else(absent),
            (port, _) => Ok(port),
        }
    }

    /// Settings of the right type that still make no sense.
    ///
    /// # Errors
    /// Says which.
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
    fn every_setting_is_in_the_table_and_none_besides() {
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
    fn senseless_settings_are_named() {
        assert_eq!(with(&[]).check(), Ok(()));
        for key in ["token.lifetime=0s", "database.connections=0", "login.window=0s", "token.issuer="] {
            let said = with(&[key]).check().unwrap_err().to_string();
            assert!(said.contains(key.split_once('=').unwrap().0), "{said}");
        }
    }
}
