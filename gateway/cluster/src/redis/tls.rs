//! The certificates for connections to Redis and to sentinels, and the handshake.
//!
//! Files and names are read and checked once, at start, so that a wrong file is an error that names its setting and not
//! a connection that fails later. Changed files need a restart. There is deliberately no way to skip verification.

use std::{fmt, fs, io, sync::Arc};

use jackfield_shared::settings::{SettingsError, env_name};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The settings that only TLS uses. An empty text means not set.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TlsFiles<'a> {
    /// Certificates of the authorities to trust, PEM; if empty, the public ones.
    pub(crate) ca_file: &'a str,
    /// The client certificate with its chain, PEM.
    pub(crate) cert_file: &'a str,
    /// Its private key, PEM.
    pub(crate) key_file: &'a str,
    /// The name that every server's certificate must have; if empty, that of the server's address.
    pub(crate) server_name: &'a str,
}

/// How connections are encrypted. Clones share the certificates.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    /// The name that every server's certificate must have, if it is not that of the address.
    pub(crate) name: Option<Arc<str>>,
    /// The client presents a certificate.
    pub(crate) is_mutual: bool,
}

impl TlsFiles<'_> {
    /// Reads and checks the files.
    pub(crate) fn read(&self) -> Result<Tls, SettingsError> {
        if !self.server_name.is_empty() {
            ServerName::try_from(self.server_name)
                .map_err(|_| wrong("redis.serverName", "must be the name of a server"))?;
        }
        let mut roots = RootCertStore::empty();
        match self.ca_file {
            "" => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            path => {
                for certificate in certificates("redis.caFile", path)? {
                    roots.add(certificate).map_err(|error| wrong_file("redis.caFile", path, error))?;
                }
            }
        }
        let provider = Arc::new(ring::default_provider());
        let client = self.client_certificate()?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| SettingsError::new(format!("TLS: {error}")))?
            .with_root_certificates(roots);
        let is_mutual = client.is_some();
        let config = match client {
            Some(key) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => config.with_no_client_auth(),
        };
        let name = (!self.server_name.is_empty()).then(|| self.server_name.into());
        Ok(Tls { config: Arc::new(config), name, is_mutual })
    }

    /// Without TLS these settings would be ignored, and the connection would be less safe than the operator intended.
    pub(crate) fn refuse(&self, address: &str) -> Result<(), SettingsError> {
        let set = [
            ("redis.caFile", self.ca_file),
            ("redis.certFile", self.cert_file),
            ("redis.keyFile", self.key_file),
            ("redis.serverName", self.server_name),
        ];
        match set.iter().find(|(_, value)| !value.is_empty()) {
            Some((key, _)) => Err(wrong(key, &format!("needs TLS: `{address}` must begin with rediss://"))),
            None => Ok(()),
        }
    }

    fn client_certificate(&self) -> Result<Option<CertifiedKey>, SettingsError> {
        match (self.cert_file, self.key_file) {
            ("", "") => Ok(None),
            ("", _) => Err(wrong("redis.keyFile", "needs `redis.certFile`")),
            (_, "") => Err(wrong("redis.certFile", "needs `redis.keyFile`")),
            (path, key_path) => {
                let chain = certificates("redis.certFile", path)?;
                let key = PrivateKeyDer::from_pem_slice(&read("redis.keyFile", key_path)?);
                let key = key.map_err(|error| wrong_file("redis.keyFile", key_path, error))?;
                let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
                pair.map(Some).map_err(|error| wrong_file("redis.certFile", path, error))
            }
        }
    }
}

impl Tls {
    /// The name that the certificate of the server at `host` must have.
    pub(crate) fn name_of<'a>(&'a self, host: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(host)
    }

    /// The handshake with the server at `host`.
    pub(crate) async fn handshake(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = self.name_of(host);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is no name of a server")))?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }
}

fn certificates(key: &str, path: &str) -> Result<Vec<CertificateDer<'static>>, SettingsError> {
    match CertificateDer::pem_slice_iter(&read(key, path)?).collect::<Result<Vec<_>, _>>() {
        Ok(certificates) if certificates.is_empty() => Err(wrong_file(key, path, "has no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(wrong_file(key, path, error)),
    }
}

fn read(key: &str, path: &str) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|error| wrong_file(key, path, error))
}

/// The error of a setting.
pub(crate) fn wrong(key: &str, why: &str) -> SettingsError {
    SettingsError::new(format!("setting `{key}` ({}) {why}", env_name(key)))
}

fn wrong_file(key: &str, path: &str, why: impl fmt::Display) -> SettingsError {
    wrong(key, &format!("names the file {path}: {why}"))
}
