//! A Redis Cluster: three masters, and a replica of each.
//!
//! A shard whose master and replica are down leaves the others serving (`cluster-require-full-coverage no`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

use super::{
    Config, Redis,
    client::Reply,
    tls::{ADMINISTRATOR, HOST, Tls},
};
use crate::{ports::Ports, workdir::Workdir};

/// Number of masters; there are as many replicas.
const MASTERS: usize = 3;
/// Slots of a Redis Cluster.
pub const SLOTS: u16 = 16_384;
/// Longest time in which [`check`] must succeed after a change.
pub const SETTLED: Duration = Duration::from_secs(40);
const PAUSE: Duration = Duration::from_millis(50);

/// Starts all of them and makes them a cluster: the first half are masters.
pub async fn start(workdir: &Workdir, ports: &mut Ports, tls: Option<&Tls>) -> Result<Vec<Redis>> {
    let mut nodes = Vec::new();
    for number in 1..=2 * MASTERS {
        let mut lines = vec![
            "cluster-enabled yes".into(),
            // Beside the data, which may be deleted.
            "cluster-config-file ../nodes.conf".into(),
            format!("cluster-port {}", ports.reserve()?),
            "cluster-node-timeout 1500".into(),
            "cluster-require-full-coverage no".into(),
            "repl-diskless-sync-delay 0".into(),
        ];
        if tls.is_some() {
            lines.push(format!("masterauth {ADMINISTRATOR}"));
            // The name in the certificate.
            lines.push(format!("cluster-announce-hostname {HOST}\ncluster-preferred-endpoint-type hostname"));
        }
        let name = format!("redis{number}");
        nodes.push(Redis::start_as(workdir, Config { lines, ..Config::of(&name, ports.reserve()?, tls) }).await?);
    }
    join(&nodes).await?;
    Ok(nodes)
}

/// Each master gets its share of the slots, each replica its master.
async fn join(nodes: &[Redis]) -> Result<()> {
    let (masters, replicas) = nodes.split_at(MASTERS);
    let share = |index: usize| SLOTS as usize * index / MASTERS;
    for (index, node) in nodes.iter().enumerate() {
        // So that they need not agree on an order first.
        node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await?;
        for other in &nodes[..index] {
            let bus = other.ask(&["CONFIG", "GET", "cluster-port"]).await?.field("cluster-port");
            let bus = bus.context("no cluster-port")?;
            node.ask(&["CLUSTER", "MEET", "127.0.0.1", &other.port.to_string(), &bus]).await?;
        }
    }
    for (index, master) in masters.iter().enumerate() {
        let (first, last) = (share(index).to_string(), (share(index + 1) - 1).to_string());
        master.ask(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await?;
    }
    let deadline = Instant::now() + SETTLED;
    for (replica, master) in replicas.iter().zip(masters) {
        let id = id(master).await?;
        // Fails until they know each other.
        while let Err(error) = replica.ask(&["CLUSTER", "REPLICATE", &id]).await {
            ensure!(Instant::now() < deadline, "{error:#}");
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// The id by which the others know it.
pub async fn id(node: &Redis) -> Result<String> {
    Ok(node.ask(&["CLUSTER", "MYID"]).await?.text())
}

/// Ranges of slots that this master serves itself; none of a replica.
pub async fn slots(node: &Redis) -> Result<Vec<(u16, u16)>> {
    slots_of(node, node).await
}

/// Ranges of slots that this node believes to be at that master.
pub async fn slots_of(node: &Redis, master: &Redis) -> Result<Vec<(u16, u16)>> {
    let (all, id) = (node.ask(&["CLUSTER", "SLOTS"]).await?, id(master).await?);
    let theirs = all.list().iter().filter(|range| {
        let at = range.list().get(2).and_then(|at| at.list().get(2));
        at.map(Reply::text).as_ref() == Some(&id)
    });
    theirs.map(|range| Ok((range.list()[0].text().parse()?, range.list()[1].text().parse()?))).collect()
}

/// Number of slots in these ranges.
pub fn count(ranges: &[(u16, u16)]) -> usize {
    ranges.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
}

/// Fails unless it is whole: every node sees all slots served by three masters, each with a replica that follows it.
pub async fn check(nodes: &[Redis]) -> Result<()> {
    let mut masters = 0;
    for node in nodes {
        let info = node.ask(&["CLUSTER", "INFO"]).await?.text();
        for wanted in ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:6"] {
            ensure!(info.contains(wanted), "{}: not {wanted}", node.name());
        }
        let known = node.ask(&["CLUSTER", "NODES"]).await?.text();
        let failing = known.lines().any(|line| line.split(' ').nth(2).is_some_and(|flags| flags.contains("fail")));
        ensure!(!failing, "{} believes that one of the others has failed", node.name());
        let shards = node.ask(&["CLUSTER", "SLOTS"]).await?;
        let alone = shards.list().iter().any(|range| range.list().len() < 4);
        ensure!(!alone, "{} knows a master without a replica", node.name());
        if node.info("replication", "role").await? == "master" {
            masters += 1;
        } else {
            let link = node.info("replication", "master_link_status").await?;
            ensure!(link == "up", "{}: its link to the master is {link}", node.name());
        }
    }
    ensure!(masters == MASTERS, "{masters} masters");
    Ok(())
}

/// Makes a replica of that master take over. The master hands over everything that it has: nothing is lost.
pub async fn fail_over(nodes: &[Redis], master: &Redis) -> Result<()> {
    let port = master.port.to_string();
    for node in nodes {
        if node.info("replication", "role").await? == "slave" && node.info("replication", "master_port").await? == port
        {
            return node.ask(&["CLUSTER", "FAILOVER"]).await.map(drop);
        }
    }
    anyhow::bail!("{} has no replica", master.name())
}
