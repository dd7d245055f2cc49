//! The places that an issuer's keys come from.

use std::path::PathBuf;

use async_trait::async_trait;
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::watch;

use crate::jwks::{FetchError, fetch_jwks, read_jwks};

/// The source of an issuer's keys.
pub enum KeySource {
    /// One HS256 secret that the issuer shares with us.
    Secret(String),
    /// A JWK Set at this URL.
    Url(String),
    /// A JWK Set in this file, which is read again as one at a URL is fetched again.
    File(PathBuf),
    /// A JWK Set that this process maintains itself.
    Local(watch::Receiver<JwkSet>),
}

/// Loads a JWK Set from outside this process. May be called again at any time; the caller limits how long it takes.
#[async_trait]
pub(super) trait Load: Send + Sync {
    async fn load(&self) -> Result<JwkSet, FetchError>;
}

/// [`KeySource::Url`].
pub(super) struct Remote {
    pub(super) http: reqwest::Client,
    pub(super) url: String,
}

#[async_trait]
impl Load for Remote {
    async fn load(&self) -> Result<JwkSet, FetchError> {
        fetch_jwks(&self.http, &self.url).await
    }
}

/// [`KeySource::File`].
#[async_trait]
impl Load for PathBuf {
    async fn load(&self) -> Result<JwkSet, FetchError> {
        read_jwks(self).await
    }
}
