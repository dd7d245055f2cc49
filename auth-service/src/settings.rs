//! The auth service's settings, their defaults, and a line of text for each.

use std::time::Duration;

use jackfield_cluster::RedisSettings;
use jackfield_shared::{serve::internal_host, settings::SettingsError, telemetry::LogSettings, trace::OtelSettings};

use crate::keys::seal::Secret;

/// Longest `login.maxAge`.
const LONGEST_LOGIN: Duration = Duration::from_hours(3_650 * 24);

jackfield_shared::settings! {
    /// All settings of the service.
    pub struct AuthSettings {
        /// Public port: accounts, key set, OpenAPI document.
        port: u16 = 3_001,
        /// Address that the public port listens on.
        host: String = "0.0.0.0".into(),
        groups {
            internal: Internal,
            database: Database,
            redis: RedisSettings,
            seed: Seed,
            token: Token,
            keys: KeySettings,
            password: Password,
            login: Login,
            register: Register,
            cors: Cors,
            proxy: Proxy,
            log: LogSettings,
            otel: OtelSettings,
        }
    }

    /// `internal.…`
    pub struct Internal {
        /// Port of `/healthz`, `/readyz`, `/metrics`; 0 for `port` + 10000.
        port: u16 = 0,
        /// Address that the internal port listens on; if empty, that of `host`, or loopback if `host` stands for all
        /// addresses.
        host: String = String::new(),
    }

    /// `database.…`
    pub struct Database {
        /// `sqlite://FILE` or `postgres://…`.
        url: String = "sqlite://jackfield.db".into(),
        /// Most connections to the database.
        connections: u32 = 10,
    }

    /// `seed.…`
    pub struct Seed {
        /// Creates the demo users, and serves `/api/seed`, which resets them.
        enabled: bool = false,
    }

    /// `token.…`
    pub struct Token {
        /// Issuer (`iss`) of the tokens.
        issuer: String = "jackfield".into(),
        /// Audience (`aud`) of the tokens.
        audience: String = "jackfield".into(),
        /// How long a token is valid.
        #[serde(with = "humantime_serde")]
        lifetime: Duration = Duration::from_secs(2 * 60 * 60),
    }

    /// `keys.…`
    pub struct KeySettings {
        /// How long a key signs tokens before the next one takes over; 0 for ever.
        #[serde(with = "humantime_serde")]
        rotate_every: Duration = Duration::from_secs(30 * 24 * 60 * 60),
        /// How long a key is published before it signs; gateways fetch the key set every 5 minutes, and caches may keep
        /// it for 5 minutes.
        #[serde(with = "humantime_serde")]
        publish_before: Duration = Duration::from_secs(10 * 60),
        /// Secret of at least 32 bytes that private keys are sealed with in the database, the same for all services; if
        /// empty, they are stored as they are.
        secret: Secret = Secret::default(),
    }

    /// `password.…`
    pub struct Password {
        /// Passwords hashed at the same time, 19 MB each; 0 for one per core.
        concurrency: u32 = 0,
        /// Most sign-ins and registrations of one client address that wait to be hashed; 0 for no limit.
        per_address: u32 = 32,
        /// Longest wait of a sign-in or registration to be hashed; then it is refused.
        #[serde(with = "humantime_serde")]
        wait: Duration = Duration::from_secs(15),
    }

    /// `login.…`
    pub struct Login {
        /// Most failed sign-ins to one account from one client address in `login.window`; 0 for no limit.
        failures: u32 = 10,
        /// Most failed sign-ins from one client address in `login.window`, to all accounts; 0 for no limit.
        failures_per_address: u32 = 50,
        /// Most failed sign-ins to one account in `login.window`, from all client addresses; above it, each address
        /// gets one attempt per window, so that strangers cannot lock the owner out; 0 for no limit.
        failures_per_account: u32 = 100,
        /// Time in which the limits on failed sign-ins refill, evenly.
        #[serde(with = "humantime_serde")]
        window: Duration = Duration::from_secs(15 * 60),
        /// How long a login lasts, however often it is refreshed; then the user signs in again.
        #[serde(with = "humantime_serde")]
        max_age: Duration = Duration::from_hours(30 * 24),
        /// Most open logins of one user; a further sign-in ends the oldest; 0 for no limit.
        open: u32 = 100,
    }

    /// `register.…`
    pub struct Register {
        /// Most registrations (and resets of the demo users) from one client address in `register.window`; 0 for no
        /// limit.
        per_address: u32 = 100,
        /// Time in which `register.perAddress` refills, evenly.
        #[serde(with = "humantime_serde")]
        window: Duration = Duration::from_secs(60 * 60),
    }

    /// `cors.…`
    pub struct Cors {
        /// Origins of web pages that may call the service, besides its own; `*` matches any port or part of a name.
        origins: Vec<String> = vec!["http://localhost:*".into(), "http://127.0.0.1:*".into()],
    }

    /// `proxy.…`
    pub struct Proxy {
        /// Number of trusted proxies in front, whose `X-Forwarded-For` gives the client's address.
        hops: u32 = 0,
    }
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
        let KeySettings { rotate_every, publish_before, secret } = &self.keys;
        must(
            rotate_every.is_zero() || rotate_every >= publish_before,
            "setting `keys.rotateEvery` must be 0 or at least `keys.publishBefore`",
        )?;
        must(
            secret.is_valid(),
            "setting `keys.secret` (KEYS_SECRET or KEYS_SECRET_FILE) must have at least 32 bytes, such as those that \
             `openssl rand -base64 32` prints",
        )?;
        must(self.database.connections >= 1, "setting `database.connections` must be at least 1")?;
        must(!self.login.window.is_zero(), "setting `login.window` must not be 0")?;
        let ages = Duration::from_secs(1)..=LONGEST_LOGIN;
        must(ages.contains(&self.login.max_age), "setting `login.maxAge` must be between 1s and 3650d")?;
        must(!self.register.window.is_zero(), "setting `register.window` must not be 0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::{Sources, load};

    fn with(overrides: &[&str]) -> AuthSettings {
        let overrides = overrides.iter().map(|pair| (*pair).to_owned()).collect();
        load(&Sources { overrides, ..Sources::default() }).unwrap()
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
        for key in [
            "token.lifetime=0s",
            "database.connections=0",
            "login.window=0s",
            "token.issuer=",
            "login.maxAge=0s",
            "keys.secret=short",
        ] {
            let error = with(&[key]).check().unwrap_err().to_string();
            assert!(error.contains(key.split_once('=').unwrap().0), "{error}");
        }
    }
}
