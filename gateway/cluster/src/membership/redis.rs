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
    membership::{Dead, REAPING_TERMS, Remembered, Secret, homes::Homes},
    now_micros,
    partition::{Partition, PartitionSet},
    presence::Stay,
    redis::{
        link::RedisLink,
        report::Failing,
        script::{Source, script},
    },
};

static BEGIN: LazyLock<Source> = script!("begin.lua");
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
    homes: Homes,
    /// Nodes with another layout of servers.
    conflicts: Arc<Failing>,
}

impl RedisMembership {
    pub(crate) fn new(link: Arc<RedisLink>, term: Duration) -> Self {
        Self { homes: Homes::new(&link, term), link, term, conflicts: Arc::default() }
    }

    pub(crate) async fn register(&self, incarnation: &Incarnation, address: &str) -> Result<Remembered, Unavailable> {
        self.refuse_earlier_versions().await?;
        let keys = &self.link.keys;
        let begin = async |home| {
            let of_lease = [
                keys.leases(home),
                keys.held_since(home),
                keys.remembered_since(home),
                keys.addresses(home),
                keys.layouts(),
            ];
            let mut call = self.link.call(&BEGIN, &of_lease, 5, 512);
            call.arg(incarnation.as_str()).arg(millis(self.term));
            call.arg(incarnation.node().tag()).arg(address).arg(self.link.layout(home));
            self.link.run::<(u64, String, String)>(home, &call).await
        };
        let begun = self.homes.ask_all(begin).await?;
        if let Some((home, (_, other, layout))) = begun.iter().find(|(_, (since, ..))| *since == 0) {
            self.report_conflict(*home, other, layout);
            // If this fails, the leases that have begun end by themselves.
            let _ = self.forget_dead(incarnation, self.within_reach()).await;
            return Err(Unavailable);
        }
        self.conflicts.ended();
        Ok(Remembered(begun.into_iter().map(|(home, (since, ..))| (home, since)).collect()))
    }

    /// Fails while a node runs that keeps everything under other names: the two would not hear each other.
    async fn refuse_earlier_versions(&self) -> Result<(), Unavailable> {
        if self.link.is_sharded() {
            return Ok(());
        }
        let mut live = redis::cmd("ZCOUNT");
        live.arg(self.link.keys.leases_before_partitions()).arg(now_micros() / 1_000).arg("+inf");
        // Without an answer, there is no lease either.
        match self.link.command::<u64>(Partition::FIRST, &live).await {
            Ok(1..) => {
                if self.conflicts.is_due("earlier version") {
                    tracing::warn!(
                        "a gateway of an earlier version runs on this Redis, where it keeps everything under other names: \
                         this node waits until it has ended"
                    );
                }
                Err(Unavailable)
            }
            _ => Ok(()),
        }
    }

    fn report_conflict(&self, home: Partition, other: &str, layout: &str) {
        let (redis, own) = (&self.link.server(home).name, self.link.layout(home));
        let reason = format!("{redis} {other} {layout} {own}");
        if self.conflicts.is_due(&reason) {
            tracing::warn!(
                redis,
                other,
                "this Redis is {own} in this node's settings, and {layout} in those of another node that is running: give \
                 all nodes the same list of Redis in the same order, and restart them together"
            );
        }
    }

    pub(crate) async fn renew(&self, incarnation: &Incarnation) -> Result<bool, Unavailable> {
        let renew = async |home| {
            let mut call = self.link.call(&RENEW, &[self.link.keys.leases(home), self.link.keys.layouts()], 3, 384);
            call.arg(incarnation.as_str()).arg(millis(self.term)).arg(self.link.layout(home));
            self.link.run::<u64>(home, &call).await
        };
        Ok(self.homes.ask_all(renew).await?.iter().all(|(_, held)| *held > 0))
    }

    pub(crate) async fn live(&self) -> Result<Vec<Incarnation>, Unavailable> {
        let live = async |home| {
            let call = self.link.call(&LIVE, &[self.link.keys.leases(home)], 0, 64);
            self.link.run::<Vec<String>>(home, &call).await
        };
        let mut live: Vec<String> = self.homes.ask(live).await?.into_iter().flat_map(|(_, live)| live).collect();
        live.sort_unstable();
        live.dedup();
        Ok(live.iter().map(|incarnation| incarnation.as_str().into()).collect())
    }

    pub(crate) async fn report(&self, incarnation: &Incarnation, text: &str) -> Result<(), Unavailable> {
        let report = async |home| {
            let keys = [self.link.keys.leases(home), self.link.keys.reports(home)];
            let mut call = self.link.call(&REPORT, &keys, 2, text.len() + 256);
            call.arg(incarnation.as_str()).arg(text);
            self.link.run::<i64>(home, &call).await
        };
        self.homes.ask(report).await.map(drop)
    }

    pub(crate) async fn reports(&self) -> Result<Vec<(Incarnation, String)>, Unavailable> {
        let reports = async |home| {
            let mut command = redis::cmd("HGETALL");
            command.arg(self.link.keys.reports(home));
            self.link.command::<BTreeMap<String, String>>(home, &command).await
        };
        let all: BTreeMap<String, String> =
            self.homes.ask(reports).await?.into_iter().flat_map(|(_, reports)| reports).collect();
        Ok(all.into_iter().map(|(incarnation, text)| (incarnation.as_str().into(), text)).collect())
    }

    /// The first home that answers decides, and the others learn its secret.
    pub(crate) async fn secret(&self, proposed: &Secret) -> Result<Secret, Unavailable> {
        let propose = async |home, secret: &Secret| {
            let mut command = redis::cmd("SET");
            command.arg(self.link.keys.secret(home)).arg(secret.as_bytes()).arg("NX").arg("GET");
            let before: Option<Vec<u8>> = self.link.command(home, &command).await?;
            Ok::<_, Unavailable>(before.map_or_else(|| secret.clone(), |secret| Secret(secret.into())))
        };
        let mut agreed = None;
        for home in self.homes.reachable() {
            let answer = propose(home, agreed.as_ref().unwrap_or(proposed)).await;
            agreed = agreed.or(answer.ok());
        }
        agreed.ok_or(Unavailable)
    }

    pub(crate) async fn address(&self, tag: &str) -> Result<Option<(Incarnation, String)>, Unavailable> {
        let find = async |home| {
            let keys = [self.link.keys.leases(home), self.link.keys.addresses(home)];
            let mut call = self.link.call(&ADDRESS, &keys, 1, 128);
            call.arg(tag);
            self.link.run::<Option<(String, String)>>(home, &call).await
        };
        let found = self.homes.ask(find).await?.into_iter().find_map(|(_, found)| found);
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

    pub(crate) async fn indexed(
        &self,
        incarnation: &Incarnation,
        within: PartitionSet,
        count: usize,
    ) -> Result<Vec<Stay>, Unavailable> {
        let index = |partition| self.link.keys.index(partition, incarnation);
        let size = |partition| (partition, redis::cmd("SCARD").arg(index(partition)).to_owned());
        let sizes: Vec<usize> = self.link.bulk(within.iter().map(size).collect()).await?;
        let mut left = count;
        let mut commands = Vec::new();
        for (partition, size) in within.iter().zip(sizes) {
            let wanted = size.min(left);
            if wanted > 0 {
                left -= wanted;
                commands.push((partition, redis::cmd("SRANDMEMBER").arg(index(partition)).arg(wanted).to_owned()));
            }
        }
        let entries: Vec<Vec<String>> = self.link.bulk(commands).await?;
        Ok(entries.iter().flatten().filter_map(|entry| Stay::from_text(entry)).collect())
    }

    pub(crate) async fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Dead>, Unavailable> {
        for home in self.homes.reachable() {
            let keys = &self.link.keys;
            let of_leases = [keys.leases(home), keys.held_since(home), keys.reaping(home)];
            let mut call = self.link.call(&TAKE_DEAD, &of_leases, 3, 256);
            call.arg(survivor.as_str()).arg(millis(self.term)).arg(millis(self.term * REAPING_TERMS));
            // A home that does not answer now is asked again with the next heartbeat.
            if let Ok(Some(dead)) = self.link.run::<Option<String>>(home, &call).await {
                let incarnation = Incarnation::from(dead.as_str());
                // Dead everywhere: whatever it holds on a server where it never got a lease goes, too.
                let is_dead = !self.live().await?.contains(&incarnation);
                let within = if is_dead { self.within_reach() } else { self.link.part_of(home) };
                return Ok(Some(Dead { incarnation, within }));
            }
        }
        Ok(None)
    }

    pub(crate) async fn forget_dead(&self, dead: &Incarnation, within: PartitionSet) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        let delete = |partition| (partition, redis::cmd("DEL").arg(keys.index(partition, dead)).to_owned());
        let _: Vec<i64> = self.link.bulk(within.iter().map(delete).collect()).await?;
        for home in self.homes.reachable().into_iter().filter(|home| within.contains(*home)) {
            let of_dead = [
                keys.leases(home),
                keys.held_since(home),
                keys.reaping(home),
                keys.reports(home),
                keys.addresses(home),
                keys.layouts(),
            ];
            let mut call = self.link.call(&FORGET_DEAD, &of_dead, 2, 384);
            call.arg(dead.as_str()).arg(dead.node().tag());
            self.link.run::<i64>(home, &call).await?;
        }
        Ok(())
    }

    pub(crate) fn parts(&self) -> Vec<PartitionSet> {
        self.link.parts()
    }

    /// The partitions of the homes that answered last.
    fn within_reach(&self) -> PartitionSet {
        let homes = self.homes.reachable();
        homes.into_iter().map(|home| self.link.part_of(home)).fold(PartitionSet::default(), PartitionSet::union)
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
