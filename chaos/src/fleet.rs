//! The servers of a run: Redis, gateways that trust one secret, and a link that can be cut between the last gateway and
//! Redis. It has no auth service, nginx or Postgres: they are not under test.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;
use xtask_kit::{
    paths,
    ports::Ports,
    process::{Spec, describe},
    servers::redis::Redis,
    service::Service,
    workdir::Workdir,
};

use super::{
    fault::{Fault, Kind},
    proxy::{Link, Proxy},
};

/// All servers, running.
pub struct Fleet {
    redis: Redis,
    link: Proxy,
    gateways: Vec<Service>,
    /// Keeps the ports of restarted gateways reserved.
    _ports: Ports,
}

impl Fleet {
    /// Starts Redis and that many gateways with these settings, and waits until all are ready. Redis writes its
    /// append-only file with `appendfsync everysec`.
    pub async fn start(nodes: usize, set: &[String], secret: &str, workdir: &Workdir) -> Result<Self> {
        let mut ports = Ports::new()?;
        let redis = Redis::start(workdir, ports.reserve()?).await?;
        let link = Proxy::start(ports.reserve()?, redis.port).await?;
        let mut gateways = Vec::with_capacity(nodes);
        for number in 1..=nodes {
            let id = format!("gw{number}");
            let redis = if number == nodes { link.port } else { redis.port };
            let spec = Spec::new(&id, paths::beside("jackfield-gateway")?, &workdir.logs)
                .env("NODE_ID", &id)
                .env("JWT_SECRET", secret)
                .env("REDIS_URL", format!("redis://127.0.0.1:{redis}"))
                // No balancer has to notice the drain.
                .env("DRAIN_DELAY", "0s")
                .env("DRAIN_WINDOW", "3s");
            gateways.push(Service::start(spec, set, &mut ports)?);
        }
        for gateway in &mut gateways {
            gateway.until_ready().await?;
        }
        Ok(Self { redis, link, gateways, _ports: ports })
    }

    /// Public addresses of the gateways, as `host:port`.
    pub fn addresses(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| format!("127.0.0.1:{}", gateway.port)).collect()
    }

    /// Resident memory of a gateway, in KiB.
    pub fn memory(&self, node: usize) -> Result<u64> {
        self.gateways[node].server.memory()
    }

    /// Injects a planned fault, and reverts it.
    pub async fn inject(&mut self, fault: &Fault) -> Result<()> {
        match fault.kind {
            Kind::Kill => {
                let gateway = &mut self.gateways[fault.node];
                gateway.server.signal(Signal::KILL);
                gateway.server.wait(Duration::from_secs(5)).await.context("a killed gateway did not exit")?;
                sleep(fault.lasts).await;
                gateway.restart().await?;
            }
            Kind::Leave => {
                let gateway = &mut self.gateways[fault.node];
                gateway.server.drain().await?;
                gateway.restart().await?;
            }
            Kind::Pubsub => self.redis.kill_connections("pubsub").await?,
            Kind::Normal => self.redis.kill_connections("normal").await?,
            Kind::Pause => freeze(self.redis.server.pid, fault.lasts).await?,
            Kind::Restart | Kind::Wipe => {
                self.redis.stop(Signal::TERM).await?;
                sleep(fault.lasts).await;
                self.redis.restart(fault.kind == Kind::Wipe).await?;
            }
            Kind::Cut => {
                self.link.set(fault.link);
                sleep(fault.lasts).await;
                self.link.set(Link::Whole);
            }
            Kind::Freeze => freeze(self.gateways[fault.node].server.pid, fault.lasts).await?,
        }
        Ok(())
    }

    /// Fails if a gateway or Redis exited by itself.
    pub fn check(&mut self) -> Result<()> {
        for server in self.gateways.iter_mut().map(|gateway| &mut gateway.server).chain([&mut self.redis.server]) {
            if let Some(status) = server.exit_status() {
                bail!("{} exited by itself ({})\n{}", server.name, describe(status), server.tail());
            }
        }
        Ok(())
    }

    /// Stops all servers.
    pub async fn stop(mut self) {
        for gateway in &mut self.gateways {
            gateway.server.signal(Signal::TERM);
        }
        for gateway in &mut self.gateways {
            gateway.server.stop(Signal::TERM, Duration::from_secs(4)).await;
        }
        self.redis.server.stop(Signal::TERM, Duration::from_secs(4)).await;
    }
}

/// Sends SIGSTOP, and SIGCONT after that time. If this future is dropped before, the run is over, and SIGKILL ends the
/// servers.
async fn freeze(pid: u32, time: Duration) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no such process")?;
    kill_process(pid, Signal::STOP)?;
    sleep(time).await;
    Ok(kill_process(pid, Signal::CONT)?)
}
