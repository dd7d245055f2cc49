//! The Redis that a node connects to: an address, or a master that sentinels keep, with the login and TLS.
//!
//! `Display` shows addresses, names and the TLS name, never a login: it is fit for logs.

use std::{fmt, path::PathBuf, sync::Arc};

use jackfield_shared::settings::SettingsError;
use redis::{ConnectionAddr, IntoConnectionInfo as _};
use rustls::pki_types::ServerName;

use super::tls::{Tls, wrong};

/// All Redis of a cluster.
#[derive(Clone)]
pub enum RedisTopology {
    /// One, which has everything.
    One(RedisTarget),
    /// Several that know nothing of each other. The order decides the partitions of each.
    Several(Vec<RedisTarget>),
    /// A Redis Cluster: some of its nodes, by which the others are found.
    Cluster(Vec<RedisTarget>),
}

/// One Redis that takes writes. See the module.
#[derive(Clone)]
pub struct RedisTarget(pub(crate) Place);

#[derive(Clone)]
pub(crate) enum Place {
    Address(Endpoint),
    /// A node of a Redis Cluster.
    Node(Endpoint),
    Master(Master),
}

/// A master that sentinels keep.
#[derive(Clone)]
pub(crate) struct Master {
    pub(crate) name: Arc<str>,
    pub(crate) sentinels: Arc<[Endpoint]>,
    /// The login and TLS of the master; its address is only a stand-in.
    pub(crate) access: Endpoint,
}

/// An address, with the login and TLS to use there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// The setting that has the login.
    pub(crate) key: &'static str,
    pub(crate) address: Address,
    pub(crate) login: Arc<Login>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp { host: Arc<str>, port: u16 },
    Unix(PathBuf),
}

/// Deliberately without `Debug`.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
}

impl RedisTarget {
    /// The same login and TLS at another address: another node of the same Cluster.
    pub(crate) fn at(&self, host: &str, port: u16) -> Self {
        Self(Place::Node(self.access().at(host, port)))
    }

    /// The host of its address; empty for a master that sentinels keep.
    pub(crate) fn host(&self) -> &str {
        match &self.0 {
            Place::Address(Endpoint { address: Address::Tcp { host, .. }, .. })
            | Place::Node(Endpoint { address: Address::Tcp { host, .. }, .. }) => host,
            _ => "",
        }
    }

    /// The name in metrics and in `/readyz`: the address, or the name of the master.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Place::Address(endpoint) | Place::Node(endpoint) => endpoint.address.to_string(),
            Place::Master(master) => master.name.to_string(),
        }
    }

    /// Number of the database that connections use.
    pub(crate) fn database(&self) -> i64 {
        self.access().login.database
    }

    pub(crate) fn access(&self) -> &Endpoint {
        match &self.0 {
            Place::Address(endpoint) | Place::Node(endpoint) => endpoint,
            Place::Master(master) => &master.access,
        }
    }
}

impl Endpoint {
    /// Reads an address in the form of `redis.url`, without its TLS. `key` is the setting that it stands in.
    pub(crate) fn parse(key: &str, url: &str) -> Result<Parsed, SettingsError> {
        let wrong_url = || wrong(key, "must have an address such as redis://localhost:6379 or rediss://…");
        let (plain, is_encrypted) = match url.split_once("://") {
            Some(("rediss" | "valkeys", _)) if url.contains('#') => {
                return Err(wrong(key, "must not have a `#` part: certificates are always verified"));
            }
            Some(("rediss" | "valkeys", rest)) => (format!("redis://{rest}"), true),
            _ => (url.to_owned(), false),
        };
        let info = plain.into_connection_info().map_err(|_| wrong_url())?;
        let settings = info.redis_settings();
        let login = Login {
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            database: settings.db(),
        };
        let address = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Address::Tcp { host: host.as_str().into(), port: *port },
            ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            _ => return Err(wrong_url()),
        };
        Ok(Parsed { address, login, is_encrypted })
    }

    /// The same login and TLS at another address.
    pub(crate) fn at(&self, host: &str, port: u16) -> Self {
        Self { address: Address::Tcp { host: host.into(), port }, ..self.clone() }
    }
}

/// An address and a login, before the certificates are known.
pub(crate) struct Parsed {
    pub(crate) address: Address,
    pub(crate) login: Login,
    pub(crate) is_encrypted: bool,
}

impl Parsed {
    /// `tls` is used if the address demands encryption. `key` is the setting that the address stands in.
    pub(crate) fn with(self, key: &'static str, tls: Option<&Tls>) -> Result<Endpoint, SettingsError> {
        let tls = tls.filter(|_| self.is_encrypted).cloned();
        if let (Some(tls), Address::Tcp { host, .. }) = (&tls, &self.address) {
            ServerName::try_from(tls.name_of(host)).map_err(|_| wrong(key, "must be the name of a server"))?;
        }
        Ok(Endpoint { key, address: self.address, login: Arc::new(self.login), tls })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, &self.tls) {
            (address @ Address::Tcp { host, .. }, Some(tls)) => write!(f, "{address} (TLS, {})", tls.name_of(host)),
            (address, _) => address.fmt(f),
        }
    }
}

impl fmt::Display for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Address(endpoint) | Place::Node(endpoint) => endpoint.fmt(f),
            Place::Master(Master { name, sentinels, .. }) => {
                write!(f, "{name} (sentinels")?;
                sentinels.iter().try_for_each(|sentinel| write!(f, " {}", sentinel.address))?;
                f.write_str(")")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::settings::RedisSettings;

    fn target(url: &str) -> RedisTarget {
        only(&RedisSettings { url: url.into(), ..RedisSettings::default() })
    }

    fn only(settings: &RedisSettings) -> RedisTarget {
        let Ok(RedisTopology::One(target)) = settings.topology() else { panic!("not one Redis") };
        target
    }

    #[test]
    fn the_login_is_decoded_and_not_shown() {
        let url = "rediss://jack%40field:p%23ss%2Fw%3Ard@redis.example:6380/2";
        let first = target(url);
        let login = &first.access().login;
        assert_eq!(login.user.as_deref(), Some("jack@field"));
        assert_eq!(login.password.as_deref(), Some("p#ss/w:rd"));
        assert_eq!(login.database, 2);
        assert_eq!(first.to_string(), "redis.example:6380 (TLS, redis.example)");
        assert_eq!(first.at("2001:db8::1", 7_000).to_string(), "[2001:db8::1]:7000 (TLS, 2001:db8::1)");
        assert!(first.at("other.example", 7_000).access().login == first.access().login);
        let server_name = "other.example".to_owned();
        let named = only(&RedisSettings { url: url.into(), server_name, ..RedisSettings::default() });
        assert_eq!(named.to_string(), "redis.example:6380 (TLS, other.example)");
        assert_eq!(named.at("10.0.0.1", 6_380).to_string(), "10.0.0.1:6380 (TLS, other.example)");
    }

    #[test]
    fn only_rediss_is_encrypted() {
        for (url, encrypted) in [
            ("redis://localhost", false),
            ("rediss://localhost", true),
            ("valkey://localhost", false),
            ("valkeys://localhost", true),
            ("unix:///run/redis.sock?db=3", false),
        ] {
            assert_eq!(target(url).access().tls.is_some(), encrypted, "{url}");
        }
        assert_eq!(target("unix:///run/redis.sock?db=3").database(), 3);
    }
}
