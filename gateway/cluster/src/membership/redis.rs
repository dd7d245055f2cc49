//! [`crate::membership`] over Redis: leases by Redis's own clock, so that the nodes' clocks do not matter.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::Cmd;

use crate::{
    Unavailable,
    ids::Incarnation,
    membership::{REAPING_TERMS, Remembered, Secret},
    partition::Partition,
    presence::Stay,
    redis::{
        link::RedisLink,
        script::{Call, Source, script},
    },
};

static RENEW: LazyLock<Source> = script!("renew.lua");
static LIVE: LazyLock<Source> = script!("live.lua");
static TAKE_DEAD: LazyLock<Source> = script!("take_dead.lua");
static REPORT: LazyLock<Source> = script!("report.lua");
static ADDRESS: LazyLock<Source> = script!("address.lua");
static FORGET_DEAD: LazyLock<Source> = script!("forget_dead.lua");

/// Entries in one command.
const BATCH: usize = 1_024;

/// All leases.
#[derive(Clone)]
pub struct RedisMembership {
    link: Arc<RedisLink>,
    pub(crate) term: Duration,
}

impl RedisMembership {
    pub(crate) fn new(link: Arc<RedisLink>, term: Duration) -> Self {
        Self { link, term }
    }

    pub(crate) async fn register(&self, incarnation: &Incarnation, address: &str) -> Result<Remembered, Unavailable> {
        let mut call = self.lease(incarnation, "begin");
        call.arg(incarnation.node().tag()).arg(address);
        self.link.run(Partition::FIRST, &call).await.map(Remembered)
    }

    pub(crate) async fn renew(&self, incarnation: &Incarnation) -> Result<bool, Unavailable> {
        let held: u64 = self.link.run(Partition::FIRST, &self.lease(incarnation, "renew")).await?;
        Ok(held > 0)
    }

    pub(crate) async fn live(&self) -> Result<Vec<Incarnation>, Unavailable> {
        let call = self.link.call(&LIVE, &[self.link.keys.leases()], 0, 64);
        let live: Vec<String> = self.link.run(Partition::FIRST, &call).await?;
        Ok(live.iter().map(|incarnation| incarnation.as_str().into()).collect())
    }

    pub(crate) async fn report(&self, incarnation: &Incarnation, text: &str) -> Result<(), Unavailable> {
        let keys = [self.link.keys.leases(), self.link.keys.reports()];
        let mut call = self.link.call(&REPORT, &keys, 2, text.len() + 256);
        call.arg(incarnation.as_str()).arg(text);
        self.link.run::<i64>(Partition::FIRST, &call).await.map(drop)
    }

    pub(crate) async fn reports(&self) -> Result<Vec<(Incarnation, String)>, Unavailable> {
        let reports: Vec<(String, String)> =
            self.link.command(Partition::FIRST, redis::cmd("HGETALL").arg(self.link.keys.reports())).await?;
        Ok(reports.into_iter().map(|(incarnation, text)| (incarnation.as_str().into(), text)).collect())
    }

    pub(crate) async fn secret(&self, proposed: &Secret) -> Result<Secret, Unavailable> {
        let mut command = redis::cmd("SET");
        command.arg(self.link.keys.secret()).arg(proposed.as_bytes()).arg("NX").arg("GET");
        let before: Option<Vec<u8>> = self.link.command(Partition::FIRST, &command).await?;
        Ok(before.map_or_else(|| proposed.clone(), |secret| Secret(secret.into())))
    }

    pub(crate) async fn address(&self, tag: &str) -> Result<Option<(Incarnation, String)>, Unavailable> {
        let keys = [self.link.keys.leases(), self.link.keys.addresses()];
        let mut call = self.link.call(&ADDRESS, &keys, 1, 128);
        call.arg(tag);
        let found: Option<(String, String)> = self.link.run(Partition::FIRST, &call).await?;
        Ok(found.map(|(incarnation, address)| (incarnation.as_str().into(), address)))
    }

    pub(crate) async fn local_address(&self) -> Result<IpAddr, Unavailable> {
        self.link.local_address().await
    }

    pub(crate) async fn index_add(&self, incarnation: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        self.index("SADD", incarnation, stays).await
    }

    pub(crate) async fn index_remove(&self, incarnation: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        self.index("SREM", incarnation, stays).await
    }

    pub(crate) async fn indexed(&self, incarnation: &Incarnation, count: usize) -> Result<Vec<Stay>, Unavailable> {
        let index = |partition| self.link.keys.index(partition, incarnation);
        let size = |partition| (partition, redis::cmd("SCARD").arg(index(partition)).to_owned());
        let sizes: Vec<usize> = self.link.bulk(Partition::all().map(size).collect()).await?;
        let mut left = count;
        let mut commands = Vec::new();
        for (partition, size) in Partition::all().zip(sizes) {
            let wanted = size.min(left);
            if wanted > 0 {
                left -= wanted;
                commands.push((partition, redis::cmd("SRANDMEMBER").arg(index(partition)).arg(wanted).to_owned()));
            }
        }
        let entries: Vec<Vec<String>> = self.link.bulk(commands).await?;
        Ok(entries.iter().flatten().filter_map(|entry| Stay::from_text(entry)).collect())
    }

    pub(crate) async fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Incarnation>, Unavailable> {
        let keys = &self.link.keys;
        let mut call = self.link.call(&TAKE_DEAD, &[keys.leases(), keys.held_since(), keys.reaping()], 3, 256);
        call.arg(survivor.as_str()).arg(millis(self.term)).arg(millis(self.term * REAPING_TERMS));
        let dead: Option<String> = self.link.run(Partition::FIRST, &call).await?;
        Ok(dead.map(|dead| dead.as_str().into()))
    }

    pub(crate) async fn forget_dead(&self, dead: &Incarnation) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        let delete = |partition| (partition, redis::cmd("DEL").arg(keys.index(partition, dead)).to_owned());
        let _: Vec<i64> = self.link.bulk(Partition::all().map(delete).collect()).await?;
        let of_dead = [keys.leases(), keys.held_since(), keys.reaping(), keys.reports(), keys.addresses()];
        let mut call = self.link.call(&FORGET_DEAD, &of_dead, 2, 384);
        call.arg(dead.as_str()).arg(dead.node().tag());
        self.link.run::<i64>(Partition::FIRST, &call).await.map(drop)
    }

    fn lease(&self, incarnation: &Incarnation, what: &str) -> Call<'static> {
        let keys = &self.link.keys;
        let of_lease = [keys.leases(), keys.held_since(), keys.remembered_since(Partition::FIRST), keys.addresses()];
        let mut call = self.link.call(&RENEW, &of_lease, 5, 384);
        call.arg(incarnation.as_str()).arg(millis(self.term)).arg(what);
        call
    }

    async fn index(&self, command: &str, of: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        for batch in stays.chunks(BATCH) {
            let mut commands: BTreeMap<Partition, Cmd> = BTreeMap::new();
            for held in batch {
                let partition = held.partition();
                let new = || redis::cmd(command).arg(self.link.keys.index(partition, of)).to_owned();
                commands.entry(partition).or_insert_with(new).arg(held.to_string());
            }
            if let (Some((partition, command)), 1) = (commands.first_key_value(), commands.len()) {
                // A single client's join or end must not wait for a pool connection.
                self.link.command::<i64>(*partition, command).await?;
            } else {
                let _: Vec<i64> = self.link.bulk(commands.into_iter().collect()).await?;
            }
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
