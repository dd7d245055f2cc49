//! A Redis that speaks TLS only, requires client certificates, and has a user with just the permissions that
//! `docs/deployment/redis.md` asks for.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use super::{Config, Redis};
use crate::{paths, process::Spec, workdir::Workdir};

/// The only name in the server's certificate: the address that it listens on is not.
const SERVER_NAME: &str = "redis.internal.example";
/// User and password have characters that must be percent-encoded in a URL.
const USER: &str = "jack@field";
const PASSWORD: &str = "p#ss/w:rd-%-secret";
const LOGIN: &str = "jack%40field:p%23ss%2Fw%3Ard-%25-secret";
/// Of the default user, which only this program uses, over the Unix socket.
const ADMINISTRATOR: &str = "administrator";

/// Starts it; returns it with the settings that lead a client to it.
pub async fn start(workdir: &Workdir, port: u16) -> Result<(Redis, Vec<(&'static str, String)>)> {
    let folder = workdir.folder("certificates")?;
    let script = paths::root().join("xtask/kit/certificates.sh");
    let openssl = Spec::new("certificates", "sh", &workdir.logs).args([&script, &folder]).args([SERVER_NAME]);
    openssl.run(Duration::from_secs(60)).await.context("making certificates")?;
    let file = |name: &str| folder.join(name).display().to_string();
    let lines = vec![
        format!("tls-cert-file {}", file("server.pem")),
        format!("tls-key-file {}", file("server.key")),
        format!("tls-ca-cert-file {}", file("ca.pem")),
        "tls-auth-clients yes".into(),
        format!("user \"{USER}\" on \">{PASSWORD}\" {}", permissions(&documentation())?),
    ];
    let password = Some(ADMINISTRATOR);
    let redis = Redis::start_as(workdir, Config { password, lines, tls: true, ..Config::plain("redis", port) }).await?;
    let env = vec![
        ("REDIS_URL", url(port)),
        ("REDIS_CA_FILE", file("ca.pem")),
        ("REDIS_CERT_FILE", file("client.pem")),
        ("REDIS_KEY_FILE", file("client.key")),
        ("REDIS_SERVER_NAME", SERVER_NAME.into()),
    ];
    Ok((redis, env))
}

/// Its address with the user's login.
pub fn url(port: u16) -> String {
    format!("rediss://{LOGIN}@127.0.0.1:{port}")
}

fn documentation() -> PathBuf {
    paths::root().join("docs/deployment/redis.md")
}

/// The permissions that the documentation gives to a user, for the prefixes of tests, too.
fn permissions(documentation: &Path) -> Result<String> {
    let text = fs::read_to_string(documentation).with_context(|| documentation.display().to_string())?;
    let begin = "`user jackfield on >PASSWORD ";
    let found = text.split_once(begin).and_then(|(_, rest)| rest.split_once('`'));
    let (permissions, _) = found.with_context(|| format!("{} has no {begin}…`", documentation.display()))?;
    let permissions = permissions.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(permissions.replace("~jackfield:*", "~jackfield:* ~test-*").replace("&jackfield:*", "&jackfield:* &test-*"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_the_permissions() {
        let found = permissions(&documentation()).unwrap();
        assert!(found.starts_with("~jackfield:* ~test-* &jackfield:* &test-* +@all"), "{found}");
    }
}
