//! Whether a URL is on this machine: a test must not load another one by mistake.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use http::Uri;

/// Fails unless the URL is on this machine, or the caller owns what is there.
pub fn ensure_allowed(url: &str, owned: bool) -> Result<()> {
    let here = is_here(url)?;
    ensure!(here || owned, "{url} is not on this machine; pass --i-own-the-target if you may load what is there");
    Ok(())
}

/// Names are not resolved: only `localhost` and loopback addresses are on this machine.
fn is_here(url: &str) -> Result<bool> {
    let uri: Uri = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
    ensure!(matches!(uri.scheme_str(), Some("http" | "https")), "`{url}` is not an http:// or https:// URL");
    let host = uri.host().with_context(|| format!("`{url}` has no host"))?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    Ok(host == "localhost" || address.is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_allowed_without_an_option() {
        let allowed = |url, owned| ensure_allowed(url, owned).is_ok();
        for here in ["http://localhost:3000", "http://127.0.0.1", "http://127.8.9.1:1/", "https://[::1]:3"] {
            assert!(allowed(here, false), "{here}");
        }
        let there = [
            "http://example.com",
            "http://10.0.0.1:3000",
            "http://0.0.0.0",
            "http://127.0.0.1@example.com/",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
        ];
        for there in there {
            assert!(!allowed(there, false) && allowed(there, true), "{there}");
        }
        assert!(!allowed("127.0.0.1:3000", true), "no scheme");
    }
}
