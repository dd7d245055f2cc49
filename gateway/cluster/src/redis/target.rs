//! The Redis to connect to: its address, the login, and the certificates and the server name for TLS.
//!
//! Everything is read and checked once, at start, so that a wrong file is an error that names its setting and not a
//! connection that fails later. Changed files need a restart. There is deliberately no way to skip verification.

use std::{fmt, fs};

use jackfield_shared::settings::{SettingsError, env_name};
use redis::{Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo as _, TlsCertificates};
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
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
    /// With TLS, its host is the name that the server's certificate must have.
    pub(crate) client: Client,
    /// The host to connect to, if it differs from that name.
    pub(crate) host: Option<String>,
    pub(crate) tls: Option<Tls>,
}

/// How connections are encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// The client presents a certificate.
    Mutual,
    /// Only the server presents a certificate.
    ServerOnly,
}

impl RedisTarget {
    /// Reads the files, but does not connect.
    ///
    /// # Errors
    /// Names the setting, and the file if it is one; never the URL, which may contain a password.
    pub fn new(access: RedisAccess<'_>) -> Result<Self, SettingsError> {
        let not_an_address = |_| {
            SettingsError::new(
                "setting `redis.url` (REDIS_URL) must be an address such as redis://localhost:6379 or rediss://…",
            )
        };
        let info = access.url.into_connection_info().map_err(not_an_address)?;
        let ConnectionAddr::TcpTls { host, port, insecure, .. } = info.addr().clone() else {
            access.refuse_tls_settings()?;
            return Ok(Self { client: Client::open(info).map_err(not_an_address)?, host: None, tls: None });
        };
        if insecure {
            return Err(wrong("redis.url", "must not have a `#` part: certificates are always verified"));
        }
        let (key, name, host) = match access.server_name {
            "" => ("redis.url", host, None),
            name => ("redis.serverName", name.to_owned(), Some(host)),
        };
        ServerName::try_from(name.as_str()).map_err(|_| wrong(key, "must be the name of a server"))?;
        let certificates = access.certificates()?;
        let tls = if certificates.client_tls.is_some() { Tls::Mutual } else { Tls::ServerOnly };
        let address = ConnectionAddr::TcpTls { host: name, port, insecure, tls_params: None };
        let client = Client::build_with_tls(info.set_addr(address), certificates).map_err(not_an_address)?;
        // The library uses the process's provider. If another one is installed already, it serves as well.
        let _ = ring::default_provider().install_default();
        Ok(Self { client, host, tls: Some(tls) })
    }
}

impl RedisAccess<'_> {
    /// Without TLS these settings would be ignored, and the connection would be less safe than the operator intended.
    fn refuse_tls_settings(&self) -> Result<(), SettingsError> {
        let set = [
            ("redis.caFile", self.ca_file),
            ("redis.certFile", self.cert_file),
            ("redis.keyFile", self.key_file),
            ("redis.serverName", self.server_name),
        ];
        match set.iter().find(|(_, value)| !value.is_empty()) {
            Some((key, _)) => Err(wrong(key, "needs TLS: `redis.url` must begin with rediss://")),
            None => Ok(()),
        }
    }

    /// Reads and checks the files.
    fn certificates(&self) -> Result<TlsCertificates, SettingsError> {
        let root_cert = match self.ca_file {
            "" => None,
            path => {
                let (pem, authorities) = certificates("redis.caFile", path)?;
                let mut roots = RootCertStore::empty();
                for certificate in authorities {
                    roots.add(certificate).map_err(|error| wrong_file("redis.caFile", path, error))?;
                }
                Some(pem)
            }
        };
        let client_tls = match (self.cert_file, self.key_file) {
            ("", "") => None,
            ("", _) => return Err(wrong("redis.keyFile", "needs `redis.certFile`")),
            (_, "") => return Err(wrong("redis.certFile", "needs `redis.keyFile`")),
            (path, key_path) => {
                let (client_cert, chain) = certificates("redis.certFile", path)?;
                let client_key = read("redis.keyFile", key_path)?;
                let key = PrivateKeyDer::from_pem_slice(&client_key);
                let key = key.map_err(|error| wrong_file("redis.keyFile", key_path, error))?;
                let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
                pair.map_err(|error| wrong_file("redis.certFile", path, error))?;
                Some(ClientTlsConfig { client_cert, client_key })
            }
        };
        Ok(TlsCertificates { client_tls, root_cert })
    }
}

/// The file's text, and the certificates in it.
fn certificates(key: &str, path: &str) -> Result<(Vec<u8>, Vec<CertificateDer<'static>>), SettingsError> {
    let pem = read(key, path)?;
    match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if certificates.is_empty() => Err(wrong_file(key, path, "has no certificate in PEM")),
        Ok(certificates) => Ok((pem, certificates)),
        Err(error) => Err(wrong_file(key, path, error)),
    }
}

fn read(key: &str, path: &str) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|error| wrong_file(key, path, error))
}

fn wrong(key: &str, why: &str) -> SettingsError {
    SettingsError::new(format!("setting `{key}` ({}) {why}", env_name(key)))
}

fn wrong_file(key: &str, path: &str, why: impl fmt::Display) -> SettingsError {
    wrong(key, &format!("names the file {path}: {why}"))
}

impl fmt::Display for RedisTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.client.get_connection_info().addr(), &self.host) {
            (ConnectionAddr::TcpTls { host: name, port, .. }, host) => {
                write!(f, "{}:{port} (TLS, {name})", host.as_ref().unwrap_or(name))
            }
            (address, _) => address.fmt(f),
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
        assert_eq!(target.client.get_connection_info().redis_settings().username(), Some("jack@field"));
        assert_eq!(target.client.get_connection_info().redis_settings().password(), Some("p#ss/w:rd"));
        assert_eq!(target.client.get_connection_info().redis_settings().db(), 2);
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
