//! Carries out the faults of a plan on the servers of a run, one at a time: each begins with all servers well, and ends so.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use xtask_kit::servers::redis::topology::Kind as Redis;

use super::{
    fault::{Fault, Kind},
    fleet::Fleet,
    proxy::Link,
};

/// Longest time until a replica has taken over.
const TAKEN_OVER: Duration = Duration::from_secs(20);
/// Interval between two questions who takes writes.
const PAUSE: Duration = Duration::from_millis(50);
/// Slots that move in one fault: an eighth of the parts into which the gateways divide users and rooms.
const SLOTS: usize = 16;

impl Fleet {
    /// Injects a planned fault, and reverts it. Returns when clients could be served again; servers may have taken longer to
    /// be well.
    pub async fn inject(&mut self, fault: &Fault) -> Result<Instant> {
        match fault.kind {
            // A killed gateway is gone at once: its members can reconnect elsewhere long before it is back.
            Kind::Kill => {
                let begun = Instant::now();
                let gateway = &mut self.gateways[fault.node];
                gateway.server.signal(Signal::KILL);
                gateway.server.wait(Duration::from_secs(5)).await.context("a killed gateway did not exit")?;
                sleep(fault.lasts).await;
                gateway.restart().await?;
                return Ok(begun);
            }
            Kind::Leave => {
                let gateway = &mut self.gateways[fault.node];
                gateway.server.drain().await?;
                gateway.restart().await?;
            }
            Kind::Freeze => self.gateways[fault.node].server.freeze(fault.lasts).await?,
            Kind::Pubsub => self.kill_connections("pubsub").await?,
            Kind::Normal => self.kill_connections("normal").await?,
            Kind::Cut => self.cut(None, fault).await,
            Kind::CutOne => {
                let redis = self.master(fault).await?;
                self.cut(Some(redis), fault).await;
            }
            Kind::Pause => return self.pause(fault).await,
            Kind::Restart | Kind::Shard | Kind::Wipe => self.restart(fault).await?,
            Kind::Master | Kind::Return => return self.kill_master(fault).await,
            Kind::Takeover => {
                let master = self.master(fault).await?;
                self.redis.fail_over(master).await?;
                let over = self.taken_over(master).await?;
                self.redis.settle().await?;
                return Ok(over);
            }
            Kind::Slots => {
                let masters = self.redis.masters().await;
                ensure!(masters.len() > 1, "{} masters", masters.len());
                // From the one that has the most, so that they do not end up at one.
                let (from, _) = self.redis.uneven().await?;
                let others: Vec<usize> = masters.into_iter().filter(|master| *master != from).collect();
                let to = others[fault.pick % others.len()];
                let used = self.redis.used_slots(from).await?;
                let first = fault.pick % (used.len().saturating_sub(SLOTS) + 1);
                let some = &used[first..used.len().min(first + SLOTS)];
                let moved = self.redis.move_slots(from, to, some).await?;
                eprintln!("         {} slots with {} keys moved", moved.slots, moved.keys);
                self.redis.settle().await?;
            }
        }
        Ok(Instant::now())
    }

    /// Index of a Redis that takes writes.
    async fn master(&self, fault: &Fault) -> Result<usize> {
        let masters = self.redis.masters().await;
        ensure!(!masters.is_empty(), "no Redis takes writes");
        Ok(masters[fault.pick % masters.len()])
    }

    async fn kill_connections(&self, of: &str) -> Result<()> {
        for redis in &self.redis.nodes {
            redis.kill_connections(of).await?;
        }
        Ok(())
    }

    async fn cut(&self, redis: Option<usize>, fault: &Fault) {
        self.set_links(redis, fault.link);
        sleep(fault.lasts).await;
        self.set_links(redis, Link::Whole);
    }

    /// Other Redis may take over from the frozen one.
    async fn pause(&mut self, fault: &Fault) -> Result<Instant> {
        let master = self.master(fault).await?;
        self.redis.nodes[master].server.freeze(fault.lasts).await?;
        let over = Instant::now();
        self.redis.settle().await?;
        Ok(over)
    }

    /// Stops some, and starts them again once all of them have stopped.
    async fn restart(&mut self, fault: &Fault) -> Result<()> {
        let (hit, signal) = match fault.kind {
            Kind::Shard => (self.redis.shard_of(self.master(fault).await?).await?, Signal::KILL),
            Kind::Wipe => (vec![self.master(fault).await?], Signal::TERM),
            _ => ((0..self.redis.nodes.len()).collect(), Signal::TERM),
        };
        for index in &hit {
            self.redis.nodes[*index].stop(signal).await?;
        }
        sleep(fault.lasts).await;
        for index in &hit {
            self.redis.nodes[*index].restart(fault.kind == Kind::Wipe).await?;
        }
        self.redis.settle().await
    }

    async fn kill_master(&mut self, fault: &Fault) -> Result<Instant> {
        let master = self.master(fault).await?;
        let back = Instant::now() + fault.lasts;
        self.redis.nodes[master].stop(Signal::KILL).await?;
        let replaced = matches!(self.redis.kind, Redis::Sentinel | Redis::Cluster);
        if fault.kind == Kind::Return {
            // It says that it is the master until a sentinel tells it otherwise, and so do they until all replicas know.
            while replaced && self.redis.masters().await.is_empty() {
                sleep(PAUSE).await;
            }
            self.redis.nodes[master].restart(false).await?;
            self.redis.settle().await?;
            return Ok(Instant::now());
        }
        let over = if replaced { Some(self.taken_over(master).await?) } else { None };
        sleep_until(back).await;
        self.redis.nodes[master].restart(false).await?;
        let over = over.unwrap_or_else(Instant::now);
        self.redis.settle().await?;
        Ok(over)
    }

    /// Waits until another one takes writes instead of this one, and until sentinels lead clients there.
    async fn taken_over(&self, master: usize) -> Result<Instant> {
        let taken_over = async {
            while !self.is_replaced(master).await {
                sleep(PAUSE).await;
            }
            Instant::now()
        };
        timeout(TAKEN_OVER, taken_over).await.context("no replica took over")
    }

    async fn is_replaced(&self, master: usize) -> bool {
        let masters = self.redis.masters().await;
        match self.redis.kind {
            Redis::Sentinel => {
                self.redis.sentinels_master().await.is_ok_and(|named| named != master && masters == [named])
            }
            _ => masters.len() == self.redis.nodes.len() / 2 && !masters.contains(&master),
        }
    }
}
