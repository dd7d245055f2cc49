//! Commands for a running cluster, over its Unix socket: one line of JSON each way.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};
use xtask_kit::{ready, workdir};

/// A command for a running cluster.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum Request {
    /// The ids of all gateways.
    Gateways,
    /// Stop a gateway with SIGTERM.
    StopGateway { id: String },
    /// Restart a gateway that has exited.
    RestartGateway { id: String },
    /// Stop a Redis; the only one needs no name.
    StopRedis { name: Option<String>, kill: bool },
    /// Start a Redis again.
    StartRedis { name: Option<String>, empty: bool },
}

/// The result of a command.
#[derive(Serialize, Deserialize)]
pub struct Answer {
    /// The part's name.
    pub id: String,
    /// Its process id; none if it is stopped.
    pub pid: Option<u32>,
}

/// The answer as it is sent over the socket.
type Line<T> = std::result::Result<T, String>;

const LONGEST: u64 = 64 * 1024;

/// Sends a command to the only running cluster, or to the one with that name.
pub async fn ask<T: DeserializeOwned>(request: &Request, cluster: Option<&str>) -> Result<T> {
    let mut stream = UnixStream::connect(choose(&workdir::running()?, cluster)?).await?;
    stream.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes()).await?;
    let answer = tokio::time::timeout(ready::LIMIT + Duration::from_secs(20), read_line(&mut stream)).await;
    let answer = answer.context("the cluster did not answer in time")??;
    serde_json::from_str::<Line<T>>(&answer)
        .context("the cluster stopped before it answered")?
        .map_err(anyhow::Error::msg)
}

/// The request from a connection; none if the peer only checked whether somebody listens.
pub async fn receive(stream: &mut UnixStream) -> Result<Option<Request>> {
    let line = tokio::time::timeout(Duration::from_secs(5), read_line(stream)).await??;
    if line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
}

/// Sends the answer.
pub async fn reply<T: Serialize>(stream: &mut UnixStream, answer: Result<T>) -> Result<()> {
    let line: Line<T> = answer.map_err(|error| format!("{error:#}"));
    let line = format!("{}\n", serde_json::to_string(&line)?);
    Ok(tokio::time::timeout(Duration::from_secs(5), stream.write_all(line.as_bytes())).await??)
}

fn choose(running: &[(String, PathBuf)], wanted: Option<&str>) -> Result<PathBuf> {
    let names = running.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, running) {
        (_, []) => bail!("no cluster is running; start one with `cargo xtask cluster`"),
        (None, [(_, only)]) => Ok(only.clone()),
        (None, _) => bail!("several clusters are running; choose one with --cluster: {names}"),
        (Some(wanted), all) => {
            let found = all.iter().find(|(name, _)| name == wanted);
            found.map(|(_, socket)| socket.clone()).with_context(|| format!("no cluster `{wanted}`; running: {names}"))
        }
    }
}

async fn read_line(stream: &mut UnixStream) -> Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut line).await?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cluster_needs_no_name_and_several_are_listed() {
        let some = |names: &[&str]| -> Vec<(String, PathBuf)> {
            names.iter().map(|name| ((*name).into(), PathBuf::from(name))).collect()
        };
        let wrong = |names: &[&str], wanted| choose(&some(names), wanted).unwrap_err().to_string();
        assert_eq!(choose(&some(&["a"]), None).unwrap(), PathBuf::from("a"));
        assert_eq!(choose(&some(&["a", "b"]), Some("b")).unwrap(), PathBuf::from("b"));
        assert!(wrong(&["a", "b"], None).ends_with("a, b"));
        assert!(wrong(&["a", "b"], Some("c")).ends_with("a, b"));
        assert!(wrong(&[], None).contains("no cluster is running"));
    }
}
