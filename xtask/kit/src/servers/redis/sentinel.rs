//! A master, two replicas and three sentinels that watch them, all with passwords.
//!
//! The sentinels notice a dead master after [`DOWN_AFTER`] and promote a replica within two or three seconds. A former
//! master that comes back believes that it is one until a sentinel tells it otherwise. By default that takes 8 s and
//! more; here the sentinels look twice a second, so that tests need not wait for long.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{
    Config, Redis,
    client::Reply,
    tls::{self, ADDRESS, LOGIN, SENTINEL_LOGIN, Tls},
};
use crate::{ports::Ports, workdir::Workdir};

/// The name by which the sentinels know the master.
pub const MASTER: &str = "jackfield";
const PASSWORD: &str = "redis-password";
const SENTINEL_PASSWORD: &str = "sentinel-password";
/// Milliseconds.
const DOWN_AFTER: u32 = 1_000;
/// Intervals of the sentinels' work, in milliseconds; not in their configuration file, so they are set again after each start.
const QUICK: [&str; 6] = ["SENTINEL", "DEBUG", "INFO-PERIOD", "1000", "PUBLISH-PERIOD", "500"];

/// Starts all of them, and waits until the sentinels know everything: master and replicas, and the sentinels.
pub async fn start(workdir: &Workdir, ports: &mut Ports, tls: Option<&Tls>) -> Result<(Vec<Redis>, Vec<Redis>)> {
    let mut nodes = Vec::new();
    for name in ["redis1", "redis2", "redis3"] {
        let mut lines = vec![format!("masterauth {PASSWORD}"), "repl-diskless-sync-delay 0".into()];
        if let Some(master) = nodes.first().map(|master: &Redis| master.port) {
            lines.push(format!("replicaof 127.0.0.1 {master}"));
        }
        let config = Config { password: Some(PASSWORD), lines, ..Config::of(name, ports.reserve()?, tls) };
        nodes.push(Redis::start_as(workdir, config).await?);
    }
    let master = nodes[0].port;
    let mut sentinels = Vec::new();
    for name in ["sentinel1", "sentinel2", "sentinel3"] {
        let lines = vec![
            format!("sentinel sentinel-pass {SENTINEL_PASSWORD}"),
            format!("sentinel monitor {MASTER} 127.0.0.1 {master} 2"),
            format!("sentinel auth-pass {MASTER} {PASSWORD}"),
            format!("sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}"),
            format!("sentinel failover-timeout {MASTER} 6000"),
            format!("sentinel parallel-syncs {MASTER} 2"),
        ];
        let config = Config {
            password: Some(SENTINEL_PASSWORD),
            lines,
            sentinel: true,
            ..Config::of(name, ports.reserve()?, tls)
        };
        sentinels.push(Redis::start_as(workdir, config).await?);
    }
    for sentinel in &sentinels {
        started(sentinel).await?;
    }
    Ok((nodes, sentinels))
}

/// To be called after each start of a sentinel.
pub async fn started(sentinel: &Redis) -> Result<()> {
    sentinel.ask(&QUICK).await.map(drop)
}

/// The settings that lead a client to the master; `port` says at which port it reaches the server with that port.
pub fn env(sentinels: &[Redis], has_tls: bool, port: impl Fn(u16) -> u16) -> Vec<(&'static str, String)> {
    let url = |sentinel: &Redis| match port(sentinel.port) {
        port if has_tls => tls::url(SENTINEL_LOGIN, ADDRESS, port),
        port => format!("redis://:{SENTINEL_PASSWORD}@{ADDRESS}:{port}"),
    };
    // Only its login counts.
    let access = if has_tls { tls::url(LOGIN, ADDRESS, 1) } else { format!("redis://:{PASSWORD}@{ADDRESS}") };
    vec![
        ("REDIS_SENTINELS", sentinels.iter().map(url).collect::<Vec<_>>().join(",")),
        ("REDIS_MASTER", MASTER.into()),
        ("REDIS_URL", access),
    ]
}

/// Fails unless every server is part of it: two replicas follow the master, and all sentinels agree on it.
pub async fn check(nodes: &[Redis], sentinels: &[Redis]) -> Result<()> {
    let mut masters = Vec::new();
    for sentinel in sentinels {
        let state = sentinel.ask(&["SENTINEL", "MASTER", MASTER]).await?;
        let field = |name| state.field(name).with_context(|| format!("no {name}"));
        let (flags, others) = (field("flags")?, field("num-other-sentinels")?);
        ensure!(flags == "master" && others == "2", "{} sees {flags} and {others} others", sentinel.name());
        let replicas = sentinel.ask(&["SENTINEL", "REPLICAS", MASTER]).await?;
        let well = |replica: &&Reply| replica.field("flags").as_deref() == Some("slave");
        let well = replicas.list().iter().filter(well).count();
        ensure!(well == 2, "{} sees {well} replicas", sentinel.name());
        masters.push(field("port")?);
    }
    ensure!(masters.windows(2).all(|pair| pair[0] == pair[1]), "the sentinels name {masters:?}");
    for node in nodes.iter().filter(|node| node.port.to_string() != masters[0]) {
        let link = node.info("replication", "master_link_status").await?;
        ensure!(link == "up", "{}: its link to the master is {link}", node.name());
        let port = node.info("replication", "master_port").await?;
        ensure!(port == masters[0], "{} follows another master", node.name());
    }
    Ok(())
}

/// Makes the sentinels promote a replica although the master is well. What that replica has not received is lost.
pub async fn fail_over(sentinels: &[Redis]) -> Result<()> {
    let sentinel = sentinels.first().context("no sentinel")?;
    sentinel.ask(&["SENTINEL", "FAILOVER", MASTER]).await.map(drop)
}

/// Longest time in which [`check`] must succeed again after a failover.
pub const SETTLED: Duration = Duration::from_secs(40);
