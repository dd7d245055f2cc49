//! The servers of a run: Redis, gateways that trust one secret, and a link that can be cut between the last gateway and
//! Redis. It has no auth service, nginx or Postgres: they are not under test.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};
use xtask_kit::{
    paths,
    ports::Ports,
    process::{Server, Spec, describe},
    ready,
    servers::redis::Redis,
    workdir::Workdir,
};

use super::{
    fault::{Fault, Kind},
    proxy::{Link, Proxy},
};

/// The servers to start.
pub struct ServerConfig {
    /// Number of gateways.
    pub nodes: usize,
    /// Settings of every gateway.
    pub set: Vec<String>,
}

struct Gateway {
    spec: Spec,
    port: u16,
    internal: u16,
    server: Server,
}

/// All servers, running.
pub struct Fleet {
    redis: Redis,
    redis_port: u16,
    link: Proxy,
    gateways: Vec<Gateway>,
    /// Keeps the ports of restarted gateways reserved.
    _ports: Ports,
}

impl Fleet {
    /// Starts everything and waits until it is ready. Redis writes its append-only file with `appendfsync everysec`.
    pub async fn start(config: &ServerConfig, secret: &str, workdir: &Workdir) -> Result<Self> {
        let mut ports = Ports::new()?;
        let redis_port = ports.reserve()?;
        let redis = Redis::start(workdir, redis_port).await?;
        let link = Proxy::start(ports.reserve()?, redis_port).await?;
        let mut gateways = Vec::with_capacity(config.nodes);
        for number in 1..=config.nodes {
            let redis = if number == config.nodes { link.port } else { redis_port };
            let (port, internal) = (ports.reserve()?, ports.reserve()?);
            let spec = gateway(number, (port, internal), redis, config, workdir.logs())?.env("JWT_SECRET", secret);
            let server = spec.start()?;
            gateways.push(Gateway { spec, port, internal, server });
        }
        for gateway in &mut gateways {
            gateway.until_ready().await?;
        }
        Ok(Self { redis, redis_port, link, gateways, _ports: ports })
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
            Kind::Pubsub => self.redis_command("CLIENT KILL TYPE pubsub").await?,
            Kind::Normal => self.redis_command("CLIENT KILL TYPE normal").await?,
            Kind::Pause => freeze(self.redis.server().pid, fault.lasts).await?,
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

    /// The exits of gateways and of Redis that nobody caused, as text.
    pub fn exits(&mut self) -> Vec<String> {
        let servers = self.gateways.iter_mut().map(|gateway| &mut gateway.server).chain([self.redis.server()]);
        let exit = |server: &mut Server| {
            let status = server.exit_status()?;
            Some(format!("{} exited by itself ({})\n{}", server.name, describe(status), server.tail()))
        };
        servers.filter_map(exit).collect()
    }

    /// Stops all servers.
    pub async fn stop(mut self) {
        for gateway in &mut self.gateways {
            gateway.server.signal(Signal::TERM);
        }
        for gateway in &mut self.gateways {
            gateway.server.stop(Signal::TERM, Duration::from_secs(4)).await;
        }
        self.redis.server().stop(Signal::TERM, Duration::from_secs(4)).await;
    }

    async fn redis_command(&self, command: &str) -> Result<()> {
        let exchange = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.redis_port)).await?;
            stream.write_all(format!("{command}\r\n").as_bytes()).await?;
            let mut answer = [0; 128];
            let count = stream.read(&mut answer).await?;
            anyhow::Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
        };
        let answer = timeout(Duration::from_secs(5), exchange).await.context("Redis did not answer")??;
        if answer.starts_with(':') { Ok(()) } else { bail!("Redis answered {}", answer.trim()) }
    }
}

impl Gateway {
    async fn restart(&mut self) -> Result<()> {
        self.server = self.spec.start()?;
        self.until_ready().await
    }

    async fn until_ready(&mut self) -> Result<()> {
        self.server.until_ready(|| ready::http_ok(self.internal, "/readyz")).await
    }
}

fn gateway(number: usize, ports: (u16, u16), redis: u16, config: &ServerConfig, logs: &Path) -> Result<Spec> {
    let id = format!("gw{number}");
    let spec = Spec::new(&id, paths::beside("jackfield-gateway")?, logs)
        .env("HOST", "127.0.0.1")
        .env("INTERNAL_HOST", "127.0.0.1")
        .env("PORT", ports.0.to_string())
        .env("INTERNAL_PORT", ports.1.to_string())
        .env("NODE_ID", &id)
        // No balancer has to notice the drain.
        .env("DRAIN_DELAY", "0s")
        .env("DRAIN_WINDOW", "3s")
        .env("REDIS_URL", format!("redis://127.0.0.1:{redis}"))
        .args(config.set.iter().flat_map(|setting| ["--set", setting.as_str()]));
    Ok(spec)
}

/// Sends SIGSTOP, and SIGCONT after that time, or earlier if this future is dropped.
async fn freeze(pid: u32, time: Duration) -> Result<()> {
    struct Wake(Pid);
    impl Drop for Wake {
        fn drop(&mut self) {
            // The process may have been killed meanwhile.
            let _ = kill_process(self.0, Signal::CONT);
        }
    }
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no such process")?;
    kill_process(pid, Signal::STOP)?;
    let _wake = Wake(pid);
    sleep(time).await;
    Ok(())
}
