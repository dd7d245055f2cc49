//! The cost of a durability. `cargo bench -p jackfield-cluster --bench confirmations` prints how many messages a
//! second are stored and confirmed with it, and how long one takes, with one, ten and a hundred senders, each of which
//! waits for its confirmation before it sends the next.
//!
//! `replica` runs on a master with two replicas and three sentinels, `disk` on one Valkey with `appendfsync everysec`,
//! and `memory` on each, to compare.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use jackfield_cluster::{
    RedisSettings, Terms,
    facts::FactTerms,
    inbox::Keep,
    log::{Durability, Log},
    over_redis,
    room_name::RoomName,
};
use jackfield_shared::lifecycle::Lifecycle;
use xtask_kit::{
    ports::Ports,
    servers::redis::topology::{Kind, Topology},
    workdir::Workdir,
};

const MEASURED: Duration = Duration::from_secs(3);
const SENDERS: [usize; 3] = [1, 10, 100];

#[tokio::main]
async fn main() -> Result<()> {
    for (kind, durable) in [(Kind::Sentinel, Durability::Replica), (Kind::Valkey, Durability::Disk)] {
        let (workdir, _listener) = Workdir::create(&format!("confirmations-{kind}-{}", std::process::id()), None)?;
        let mut ports = Ports::new()?;
        let topology = Topology::start(kind, &workdir, &mut ports).await?;
        let lifecycle = Lifecycle::new();
        let redis = settings(&topology).topology()?;
        let (cluster, _events) = over_redis(redis, "bench", &"n".into(), terms(), &lifecycle);
        for durable in [Durability::Memory, durable] {
            for senders in SENDERS {
                measure(&cluster.log, kind, durable, senders).await?;
            }
        }
        lifecycle.stop();
    }
    Ok(())
}

async fn measure(log: &Log, kind: Kind, durable: Durability, senders: usize) -> Result<()> {
    let until = Instant::now() + MEASURED;
    let sending = (0..senders).map(|sender| async move {
        let room = RoomName::parse(&Arc::from("/"), &format!("r{sender}")).context("a name")?;
        let mut times = Vec::new();
        while Instant::now() < until {
            let begun = Instant::now();
            log.append(&room, "\"content\":\"text\"}", None, None, durable).await?;
            times.push(begun.elapsed());
        }
        anyhow::Ok(times)
    });
    let mut times: Vec<_> = try_join_all(sending).await?.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    let rate = times.len() / usize::try_from(MEASURED.as_secs())?;
    println!("{kind}, {}, {senders} senders: {rate}/s, median {:?}, p99 {:?}", durable.as_str(), at(50), at(99));
    Ok(())
}

fn settings(topology: &Topology) -> RedisSettings {
    let mut settings = RedisSettings::default();
    for (name, value) in topology.env() {
        match name {
            "REDIS_URL" => settings.url = value,
            "REDIS_SENTINELS" => settings.sentinels = value.split(',').map(str::to_owned).collect(),
            "REDIS_MASTER" => settings.master = value,
            _ => {}
        }
    }
    settings
}

fn terms() -> Terms {
    Terms {
        lease: Duration::from_secs(15),
        grace: Duration::from_secs(5),
        announce_max: 200,
        notifications: Keep { max: 1_000, age: Duration::from_hours(24) },
        user_events: Duration::from_mins(2),
        recovery: Duration::from_mins(2),
        facts: FactTerms::OFF,
    }
}
