//! TLS for every server of a topology: ports that speak nothing else and require client certificates, also between the
//! servers, and users with just the permissions that `docs/deployment/redis.md` asks for.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{paths, process::Spec, workdir::Workdir};

/// A name in the certificate of all servers, at which none of them is reached.
const SERVER_NAME: &str = "redis.internal.example";
/// The other name in it, at which all of them are reached.
pub const HOST: &str = "localhost";
/// The address of all of them.
pub const ADDRESS: &str = "127.0.0.1";
/// User and password have characters that must be percent-encoded in a URL.
const USER: &str = "jack@field";
const PASSWORD: &str = "p#ss/w:rd-%-secret";
/// Of the user of a server that holds data.
pub const LOGIN: &str = "jack%40field:p%23ss%2Fw%3Ard-%25-secret";
const SENTINEL_PASSWORD: &str = "sentinel-secret";
/// Of the user of a sentinel.
pub const SENTINEL_LOGIN: &str = "jack%40field:sentinel-secret";
/// Password of the default user, which only this program uses, over Unix sockets.
pub const ADMINISTRATOR: &str = "administrator";

/// The documentation's words before their permissions.
const REDIS_USER: &str = "`user jackfield on >PASSWORD ";
const SENTINEL_USER: &str = "`user jackfield-sentinel on >PASSWORD ";

/// The certificates of a topology.
pub struct Tls(PathBuf);

impl Tls {
    /// Makes them.
    pub async fn prepare(workdir: &Workdir) -> Result<Self> {
        let folder = workdir.folder("certificates")?;
        let script = paths::root().join("xtask/kit/certificates.sh");
        let openssl = Spec::new("certificates", "sh", &workdir.logs).args([&script, &folder]).args([SERVER_NAME, HOST]);
        openssl.run(Duration::from_secs(60)).await.context("making certificates")?;
        Ok(Self(folder))
    }

    /// One of the files of `certificates.sh`.
    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Lines for the configuration of a server, or of a sentinel.
    pub fn lines(&self, is_sentinel: bool) -> Result<String> {
        let (of, password) = if is_sentinel { (SENTINEL_USER, SENTINEL_PASSWORD) } else { (REDIS_USER, PASSWORD) };
        let permissions = permissions(&documentation(), of)?;
        let files = [("cert", "server.pem"), ("key", "server.key"), ("ca-cert", "ca.pem")];
        let mut text: String = files.map(|(of, name)| format!("tls-{of}-file {}\n", self.file(name))).concat();
        text += "tls-auth-clients yes\ntls-replication yes\n";
        if !is_sentinel {
            text += "tls-cluster yes\n";
        }
        Ok(text + &format!("user \"{USER}\" on \">{password}\" {permissions}\n"))
    }

    /// The settings that make a client trust the servers, and be trusted. The name is for servers that are reached at
    /// addresses.
    pub fn env(&self, is_named: bool) -> Vec<(&'static str, String)> {
        let files = [("REDIS_CA_FILE", "ca.pem"), ("REDIS_CERT_FILE", "client.pem"), ("REDIS_KEY_FILE", "client.key")];
        let files = files.map(|(setting, name)| (setting, self.file(name)));
        let name = (!is_named).then(|| ("REDIS_SERVER_NAME", SERVER_NAME.to_owned()));
        files.into_iter().chain(name).collect()
    }
}

/// An address with a login.
pub fn url(login: &str, host: &str, port: u16) -> String {
    format!("rediss://{login}@{host}:{port}")
}

fn documentation() -> PathBuf {
    paths::root().join("docs/deployment/redis.md")
}

/// The permissions that the documentation gives to a user, for the prefixes of tests, too.
fn permissions(documentation: &Path, begin: &str) -> Result<String> {
    let text = fs::read_to_string(documentation).with_context(|| documentation.display().to_string())?;
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
        let found = permissions(&documentation(), REDIS_USER).unwrap();
        assert!(found.starts_with("~jackfield:* ~test-* &jackfield:* &test-* +@all"), "{found}");
        let found = permissions(&documentation(), SENTINEL_USER).unwrap();
        assert!(found.starts_with("+sentinel|"), "{found}");
    }
}
