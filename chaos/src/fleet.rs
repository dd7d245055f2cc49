//! The servers of a run: Redis, gateways that trust one secret, and links that can be cut between the last gateway and each
//! Redis. There are no links to Redis that name each other over TLS: links change these names, and cannot read them there.
//! It has no auth service, nginx or Postgres: they are not under test.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;
use xtask_kit::{
    paths,
    ports::Ports,
    process::{Spec, describe},
    servers::redis::topology::{Setup, Topology},
    service::Service,
    workdir::Workdir,
};

use super::proxy::{Link, Proxy};

/// All servers, running.
pub struct Fleet {
    pub(super) redis: Topology,
    /// One for each server of `redis`, in its order.
    links: Vec<Proxy>,
    pub(super) gateways: Vec<Service>,
    /// Keeps the ports of restarted servers reserved.
    _ports: Ports,
}

impl Fleet {
    /// Starts Redis and that many gateways with these settings, and waits until all are ready. Redis writes its
    /// append-only file with `appendfsync everysec`.
    pub async fn start(setup: Setup, nodes: usize, set: &[String], secret: &str, workdir: &Workdir) -> Result<Self> {
        let mut ports = Ports::new()?;
        let redis = Topology::start(setup, workdir, &mut ports).await?;
        let mut behind = HashMap::new();
        for server in redis.all() {
            behind.insert(server.port, ports.reserve()?);
        }
        ensure!(behind.iter().all(|(one, other)| *one >= 10_000 && *other >= 10_000), "ports of five digits");
        let named = setup.kind.names_servers();
        let told = Arc::new(if named { behind.clone() } else { HashMap::new() });
        let mut links = Vec::new();
        for server in redis.all().filter(|_| !(named && setup.tls)) {
            links.push(Proxy::start(behind[&server.port], server.port, Arc::clone(&told)).await?);
        }
        let through =
            |port| redis.all().zip(&links).find(|(server, _)| server.port == port).map_or(port, |(_, link)| link.port);
        let mut gateways = Vec::with_capacity(nodes);
        for number in 1..=nodes {
            let id = format!("gw{number}");
            let settings = if number == nodes { redis.env_through(through) } else { redis.env() };
            let spec = Spec::new(&id, paths::beside("jackfield-gateway")?, &workdir.logs)
                .env("NODE_ID", &id)
                .env("JWT_SECRET", secret)
                .envs(settings)
                // No balancer has to notice the drain.
                .env("DRAIN_DELAY", "0s")
                .env("DRAIN_WINDOW", "3s");
            gateways.push(Service::start(spec, set, &mut ports)?);
        }
        for gateway in &mut gateways {
            gateway.until_ready().await?;
        }
        Ok(Self { redis, links, gateways, _ports: ports })
    }

    /// Public addresses of the gateways, as `host:port`.
    pub fn addresses(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| format!("127.0.0.1:{}", gateway.port)).collect()
    }

    /// Resident memory of a gateway, in KiB.
    pub fn memory(&self, node: usize) -> Result<u64> {
        self.gateways[node].server.memory()
    }

    /// Cuts or restores the links of the last gateway: to all Redis, or to the one with that index.
    pub(super) fn set_links(&self, redis: Option<usize>, link: Link) {
        for (index, proxy) in self.links.iter().enumerate() {
            if redis.is_none_or(|redis| redis == index) {
                proxy.set(link);
            }
        }
    }

    /// Fails if a gateway or a Redis exited by itself.
    pub fn check(&mut self) -> Result<()> {
        for server in self.gateways.iter_mut().map(|gateway| &mut gateway.server).chain(self.redis.servers()) {
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
        self.redis.stop(Duration::from_secs(4)).await;
    }
}
