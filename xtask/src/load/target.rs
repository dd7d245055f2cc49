//! The cluster under load, and the variables that a scenario needs for it.

use anyhow::Result;
use xtask_kit::loopback;

use crate::cluster::Addresses;

/// Source addresses of k6, over which it spreads its virtual users. A balancer that hashes the client's address then
/// spreads them too, and there are more source ports than one address has.
const CLIENTS: &str = "127.1.0.1-127.1.0.250";

/// A cluster under load.
pub struct Target {
    /// Variables for k6.
    pub environment: Vec<(&'static str, String)>,
    /// Source addresses for k6, for a cluster of ours only; only Linux has all of 127.0.0.0/8.
    pub client_addresses: Option<&'static str>,
}

impl Target {
    /// A cluster that somebody else started. Its secrets come from the environment.
    pub fn elsewhere(url: &str, api_url: Option<&str>, owned: bool) -> Result<Self> {
        let urls = [("BASE_URL", Some(url)), ("API_URL", api_url)];
        let urls = urls.into_iter().filter_map(|(name, url)| Some((name, url?.trim_end_matches('/'))));
        for (_, url) in urls.clone() {
            loopback::ensure_allowed(url, owned)?;
        }
        let secrets = ["JWT_SECRET", "JWT_ISSUER", "JWT_AUDIENCE", "API_KEY"];
        let secrets = secrets.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        let environment = urls.map(|(name, url)| (name, url.to_owned())).chain(secrets).collect();
        Ok(Self { environment, client_addresses: None })
    }

    /// A cluster that we started, whose gateways trust that secret.
    pub fn started(addresses: &Addresses, secret: String) -> Self {
        let gateways: Vec<&str> = addresses.gateways.iter().map(|gateway| gateway.internal.as_str()).collect();
        let known = [
            ("BASE_URL", addresses.balancer.clone()),
            ("API_URL", gateways.join(",")),
            ("API_KEY", addresses.api_key.clone()),
            ("JWT_SECRET", secret),
            ("JWT_ISSUER", "jackfield".into()),
            ("JWT_AUDIENCE", "jackfield".into()),
        ];
        Self { environment: known.into(), client_addresses: cfg!(target_os = "linux").then_some(CLIENTS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_needs_an_option() {
        let allowed = |url, api_url, owned| Target::elsewhere(url, api_url, owned).is_ok();
        let (here, there) = ("http://localhost:3000", "http://example.com");
        assert!(allowed(here, None, false) && allowed(here, Some(here), false));
        assert!(!allowed(there, None, false) && !allowed(here, Some(there), false));
        assert!(allowed(there, None, true) && allowed(here, Some(there), true));
    }
}
