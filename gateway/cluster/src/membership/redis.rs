//! [`crate::membership`] over Redis: leases by Redis's own clock, so that the nodes' clocks do not matter.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::{Script, ScriptInvocation};

use crate::{
    Unavailable,
    ids::Incarnation,
    membership::{REAPING_TERMS, Remembered, Secret},
    presence::Stay,
    redis::link::RedisLink,
};

static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("renew.lua")));
static LIVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("live.lua")));
static TAKE_DEAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take_dead.lua")));
static REPORT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("report.lua")));
static ADDRESS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("address.lua")));
static FORGET_DEAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("forget_dead.lua")));

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
        self.link.script(&call).await.map(Remembered)
    }

    pub(crate) async fn renew(&self, incarnation: &Incarnation) -> Result<bool, Unavailable> {
        let held: u64 = self.link.script(&self.lease(incarnation, "renew")).await?;
        Ok(held > 0)
    }

    pub(crate) async fn live(&self) -> Result<Vec<Incarnation>, Unavailable> {
        let live: Vec<String> = self.link.script(&LIVE.key(self.link.keys.leases())).await?;
        Ok(live.iter().map(|incarnation| incarnation.as_str().into()).collect())
    }

    pub(crate) async fn report(&self, incarnation: &Incarnation, text: &str) -> Result<(), Unavailable> {
        let mut call = REPORT.key(self.link.keys.leases());
        call.key(self.link.keys.reports()).arg(incarnation.as_str()).arg(text);
        self.link.script::<i64>(&call).await.map(drop)
    }

    pub(crate) async fn reports(&self) -> Result<Vec<(Incarnation, String)>, Unavailable> {
        let reports: Vec<(String, String)> =
            self.link.command(redis::cmd("HGETALL").arg(self.link.keys.reports())).await?;
        Ok(reports.into_iter().map(|(incarnation, text)| (incarnation.as_str().into(), text)).collect())
    }

    pub(crate) async fn secret(&self, proposed: &Secret) -> Result<Secret, Unavailable> {
        let mut command = redis::cmd("SET");
        command.arg(self.link.keys.secret()).arg(proposed.as_bytes()).arg("NX").arg("GET");
        let before: Option<Vec<u8>> = self.link.command(&command).await?;
        Ok(before.map_or_else(|| proposed.clone(), |secret| Secret(secret.into())))
    }

    pub(crate) async fn address(&self, tag: &str) -> Result<Option<(Incarnation, String)>, Unavailable> {
        let mut call = ADDRESS.key(self.link.keys.leases());
        call.key(self.link.keys.addresses()).arg(tag);
        let found: Option<(String, String)> = self.link.script(&call).await?;
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
        let mut command = redis::cmd("SRANDMEMBER");
        command.arg(self.link.keys.index(incarnation)).arg(count);
        let entries: Vec<String> = self.link.command(&command).await?;
        Ok(entries.iter().filter_map(|entry| Stay::from_text(entry)).collect())
    }

    pub(crate) async fn take_dead(&self, survivor: &Incarnation) -> Result<Option<Incarnation>, Unavailable> {
        let keys = &self.link.keys;
        let mut call = TAKE_DEAD.key(keys.leases());
        call.key(keys.held_since()).key(keys.reaping());
        call.arg(survivor.as_str()).arg(millis(self.term)).arg(millis(self.term * REAPING_TERMS));
        let dead: Option<String> = self.link.script(&call).await?;
        Ok(dead.map(|dead| dead.as_str().into()))
    }

    pub(crate) async fn forget_dead(&self, dead: &Incarnation) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        self.link.command::<i64>(redis::cmd("DEL").arg(keys.index(dead))).await?;
        let mut call = FORGET_DEAD.key(keys.leases());
        call.key(keys.held_since()).key(keys.reaping()).key(keys.reports()).key(keys.addresses());
        call.arg(dead.as_str()).arg(dead.node().tag());
        self.link.script::<i64>(&call).await.map(drop)
    }

    fn lease(&self, incarnation: &Incarnation, what: &str) -> ScriptInvocation<'static> {
        let keys = &self.link.keys;
        let mut call = RENEW.key(keys.leases());
        call.key(keys.held_since()).key(keys.remembered_since()).key(keys.addresses());
        call.arg(incarnation.as_str()).arg(millis(self.term)).arg(what);
        call
    }

    async fn index(&self, command: &str, of: &Incarnation, stays: &[Stay]) -> Result<(), Unavailable> {
        for batch in stays.chunks(BATCH) {
            let mut command = redis::cmd(command);
            command.arg(self.link.keys.index(of));
            for held in batch {
                command.arg(held.to_string());
            }
            self.link.command::<i64>(&command).await?;
        }
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
