//! The Redis to connect to: its address, the login, and the certificates and the server name for TLS.
//!
//! Everything is read and checked once, at start, so that a wrong file is an error that names its setting and not a
//! connection that fails later. Changed files need a restart. There is deliberately no way to skip verification.

use std::{fmt, path::Path, sync::Arc};

use jackfield_shared::settings::{SettingsError, env_name};
use redis::{ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};

/// The settings for reaching Redis. An empty text means not set.
#[derive(Debug, Clone, Copy, Default)]
pub struct RedisAccess<'a> {
    /// `redis://[user:password@]host[:port][/database]`; `rediss://` for TLS.
    pub url: &'a str,
    /// Certificates of the authorities to trust, PEM; if empty, the public ones.
    pub ca_file: &'a str,
    /// The client certificate with its chain, PEM.
    pub cert_file: &'a str,
    /// Its private key, PEM.
    pub key_file: &'a str,
    /// The name that the server's certificate must have, if it is not the host of the URL.
    pub server_name: &'a str,
}

/// See the module. `Display` shows the address and the TLS name, never the login: it is fit for logs.
pub struct RedisTarget {
    pub(crate) address: ConnectionAddr,
    pub(crate) login: RedisConnectionInfo,
    pub(crate) tls: Option<Tls>,
}

/// The parts that all TLS connections share; TLS sessions are resumed.
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
    /// Whether a client certificate is presented.
    pub(crate) client: bool,
}

impl RedisTarget {
    /// Reads the files, but does not connect.
    ///
    /// # Errors
    /// Names the setting, and the file if it is one; never the URL, which may contain a password.
    pub fn new(access: RedisAccess<'_>) -> Result<Self, SettingsError> {
        let (plain, encrypted) = match access.url.split_once("s://") {
            Some((scheme @ ("redis" | "valkey"), rest)) => (format!("{scheme}://{rest}"), true),
            _ => (access.url.to_owned(), false),
        };
        let not_an_address = |_| {
            SettingsError::new(
                "setting `redis.url` (REDIS_URL) is not an address such as redis://localhost:6379 or rediss://…",
            )
        };
        let info = plain.as_str().into_connection_info().map_err(not_an_address)?;
        let tls = if encrypted { Some(Tls::new(&access, info.addr())?) } else { access.refuse_tls_settings()? };
        Ok(Self { address: info.addr().clone(), login: info.redis_settings().clone(), tls })
    }
}

impl RedisAccess<'_> {
    /// Without TLS these settings would be ignored, and the connection would be less safe than the operator intended.
    fn refuse_tls_settings(&self) -> Result<Option<Tls>, SettingsError> {
        let set = [
            ("redis.caFile", self.ca_file),
            ("redis.certFile", self.cert_file),
            ("redis.keyFile", self.key_file),
            ("redis.serverName", self.server_name),
        ];
        match set.iter().find(|(_, value)| !value.is_empty()) {
            Some((key, _)) => Err(wrong(key, "needs TLS: `redis.url` must begin with rediss://")),
            None => Ok(None),
        }
    }
}

impl Tls {
    fn new(access: &RedisAccess<'_>, address: &ConnectionAddr) -> Result<Self, SettingsError> {
        let ConnectionAddr::Tcp(host, _) = address else {
            return Err(wrong("redis.url", "must name a host for TLS"));
        };
        if access.url.contains('#') {
            return Err(wrong("redis.url", "must not have a `#` part: certificates are always verified"));
        }
        let (key, name) = match access.server_name {
            "" => ("redis.url", host.as_str()),
            name => ("redis.serverName", name),
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| wrong(key, "is not the name of a server"))?;
        let mut roots = RootCertStore::empty();
        if access.ca_file.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        } else {
            for certificate in certificates("redis.caFile", access.ca_file)? {
                let unfit = |error| wrong_file("redis.caFile", access.ca_file, error);
                roots.add(certificate).map_err(unfit)?;
            }
        }
        // Named, so that another provider installed in this process does not matter.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("redis.url", &error.to_string()))?
            .with_root_certificates(roots);
        let (config, client) = match (access.cert_file, access.key_file) {
            ("", "") => (config.with_no_client_auth(), false),
            ("", _) => return Err(wrong("redis.keyFile", "needs `redis.certFile`")),
            (_, "") => return Err(wrong("redis.certFile", "needs `redis.keyFile`")),
            (certificate, key) => {
                let chain = certificates("redis.certFile", certificate)?;
                let unfit = |error| wrong_file("redis.certFile", certificate, error);
                (config.with_client_auth_cert(chain, private_key(key)?).map_err(unfit)?, true)
            }
        };
        Ok(Self { config: Arc::new(config), name, client })
    }
}

fn certificates(key: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    let read = CertificateDer::pem_file_iter(Path::new(path)).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if certificates.is_empty() => Err(wrong_file(key, path, "has no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(wrong_file(key, path, error)),
    }
}

fn private_key(path: &str) -> Result<PrivateKeyDer<'static>, SettingsError> {
    PrivateKeyDer::from_pem_file(Path::new(path)).map_err(|error| wrong_file("redis.keyFile", path, error))
}

fn wrong(key: &str, why: &str) -> SettingsError {
    SettingsError::new(format!("setting `{key}` ({}) {why}", env_name(key)))
}

fn wrong_file(key: &str, path: &str, why: impl fmt::Display) -> SettingsError {
    wrong(key, &format!("names the file {path}: {why}"))
}

impl fmt::Display for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tls {
            Some(tls) => write!(f, "{} (TLS, {})", self.address, tls.name.to_str()),
            None => self.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(access: RedisAccess<'_>) -> String {
        RedisTarget::new(access).err().expect("must be refused").to_string()
    }

    #[test]
    fn the_login_is_decoded_and_not_shown() {
        let url = "rediss://jack%40field:p%23ss%2Fw%3Ard@redis.example:6380/2";
        let target = RedisTarget::new(RedisAccess { url, ..RedisAccess::default() }).unwrap();
        assert_eq!(target.login.username(), Some("jack@field"));
        assert_eq!(target.login.password(), Some("p#ss/w:rd"));
        assert_eq!(target.login.db(), 2);
        assert_eq!(target.to_string(), "redis.example:6380 (TLS, redis.example)");
        let named = RedisAccess { url, server_name: "other.example", ..RedisAccess::default() };
        assert_eq!(RedisTarget::new(named).unwrap().to_string(), "redis.example:6380 (TLS, other.example)");
    }

    #[test]
    fn only_rediss_is_encrypted() {
        for (url, encrypted) in [
            ("redis://localhost", false),
            ("rediss://localhost", true),
            ("valkey://localhost", false),
            ("valkeys://localhost", true),
        ] {
            let target = RedisTarget::new(RedisAccess { url, ..RedisAccess::default() });
            assert_eq!(target.map(|target| target.tls.is_some()), Ok(encrypted), "{url}");
        }
    }

    #[test]
    fn errors_name_the_setting_and_never_the_url() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let empty = empty.to_str().unwrap();
        let url = "rediss://user:secret@localhost";
        let access = RedisAccess { url, ..RedisAccess::default() };
        for (access, words) in [
            (RedisAccess { url: "http://user:secret@localhost", ..access }, ["redis.url", "REDIS_URL"]),
            (RedisAccess { url: "rediss://user:secret@localhost/#insecure", ..access }, ["redis.url", "verified"]),
            (RedisAccess { server_name: "not a name", ..access }, ["redis.serverName", "REDIS_SERVER_NAME"]),
            (RedisAccess { ca_file: "/does/not/exist", ..access }, ["redis.caFile", "/does/not/exist"]),
            (RedisAccess { ca_file: empty, ..access }, ["redis.caFile", "no certificate"]),
            (RedisAccess { cert_file: empty, ..access }, ["redis.certFile", "needs `redis.keyFile`"]),
            (RedisAccess { key_file: empty, ..access }, ["redis.keyFile", "needs `redis.certFile`"]),
            (RedisAccess { cert_file: empty, key_file: empty, ..access }, ["redis.certFile", "no certificate"]),
            (RedisAccess { url: "redis://:secret@localhost", ca_file: empty, ..access }, ["redis.caFile", "rediss://"]),
        ] {
            let error = refused(access);
            assert!(words.iter().all(|word| error.contains(word)) && !error.contains("secret"), "{error}");
        }
    }
}
