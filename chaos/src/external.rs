//! `--url`: members against a cluster that runs already. It starts no servers and injects no faults: the caller kills,
//! drains and scales gateways meanwhile, and this program judges what the members received.

use anyhow::{Context, Result, ensure};
use http::Uri;
use tokio::time::sleep;
use xtask_kit::loopback;

use super::{
    args::Args,
    checker::Rules,
    crowd::{ClientConfig, Crowd},
    report::{Report, conclude},
    users,
};

/// Runs the scenario.
pub async fn run(args: &Args, url: &str, seed: u64) -> Result<()> {
    let url = url.trim_end_matches('/');
    loopback::ensure_allowed(url, args.i_own_the_target)?;
    let node = authority(url)?;
    let (sizes, load) = (args.sizes(), args.load());
    let clients = ClientConfig { sizes, load, seed, checks_presence: true, ..ClientConfig::default() };
    let users = users::registered(url, sizes.members).await?;
    let crowd = Crowd::start(&clients, &[node], users);
    crowd.joined().await?;
    eprintln!("{} members have joined {} rooms; sending starts", sizes.members, sizes.rooms);
    crowd.start_sending();
    sleep(args.time()).await;
    let unfinished = crowd.settle().await;
    let shared = crowd.stop().await;
    let rules = Rules { kept: args.kept, ..Rules::default() };
    let again = format!("--url {url} --seconds {}", args.time().as_secs());
    conclude(&Report::of(&shared, &rules, &[], seed, unfinished), args.json, &again)
}

/// `host:port`.
fn authority(url: &str) -> Result<String> {
    let uri: Uri = url.parse().context("--url")?;
    ensure!(uri.scheme_str() == Some("http"), "--url: only http:// is supported, not TLS");
    ensure!(uri.path() == "/" && uri.query().is_none(), "--url: must have no path");
    let host = uri.host().context("--url: must have a host")?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_host_and_port() {
        assert_eq!(authority("http://localhost").unwrap(), "localhost:80");
        assert_eq!(authority("http://[::1]:8080").unwrap(), "[::1]:8080");
        for wrong in ["https://localhost", "localhost:8080", "http://localhost/chat"] {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
    }
}
