//! The servers of a run: an empty Redis and the nodes of one peer. They are ended after it, by their process ids.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::Value;
use xtask_kit::{
    ports::Ports,
    process::{Server, describe},
    ready,
    servers::redis::Redis,
    service::Service,
    workdir::Workdir,
};

use super::{
    generator::{self, Node},
    peer::{Program, Shared},
    scenario::{Scenario, Sizes},
};

/// From readiness to the first connect: adapters subscribe after they listen.
const SETTLE: Duration = Duration::from_secs(1);
/// From SIGTERM to SIGKILL.
pub const STOP: Duration = Duration::from_secs(6);

/// Servers and programs that all runs share.
pub struct Bench<'a> {
    workdir: &'a Workdir,
    generator: PathBuf,
    redis: Redis,
    secret: String,
}

impl<'a> Bench<'a> {
    /// Starts Redis.
    pub async fn start(workdir: &'a Workdir, generator: PathBuf) -> Result<Self> {
        let port = Ports::new()?.reserve()?;
        let redis = Redis::start(workdir, port).await?;
        Ok(Self { workdir, generator, redis, secret: format!("{:032x}", rand::random::<u128>()) })
    }

    /// Starts a peer, measures it, and ends it.
    pub async fn run(&mut self, program: &Program, scenario: Scenario, sizes: &Sizes) -> Result<Value> {
        self.redis.stop(Signal::TERM).await?;
        self.redis.restart(true).await?;
        let mut ports = Ports::new()?;
        let mut nodes = self.nodes(program, scenario.nodes(), &mut ports).await?;
        let measured = async {
            tokio::time::sleep(SETTLE).await;
            let addresses: Vec<Node> =
                nodes.iter().map(|(port, server)| Node { port: *port, pid: server.pid }).collect();
            let mut args = scenario.generator(sizes);
            args.extend(["--dialect".into(), program.peer.dialect().into()]);
            generator::run(&self.generator, &args, &addresses, &[self.redis.server.pid], &self.secret).await
        };
        let outcome = measured.await;
        let exit = nodes.iter_mut().find_map(|(_, server)| {
            let status = server.exit_status()?;
            Some(format!("{} exited by itself ({})\n{}", server.name, describe(status), server.tail()))
        });
        for (_, server) in &mut nodes {
            server.stop(Signal::TERM, STOP).await;
        }
        match exit {
            Some(exit) => bail!(exit),
            None => outcome,
        }
    }

    /// Starts the nodes of a peer and waits until they accept connections.
    async fn nodes(&self, program: &Program, count: usize, ports: &mut Ports) -> Result<Vec<(u16, Server)>> {
        let redis = self.redis.url();
        let shared = Shared { logs: &self.workdir.logs, redis: &redis, secret: &self.secret };
        let mut nodes = Vec::with_capacity(count);
        for number in 1..=count {
            let spec = program.spec(number, &shared);
            if program.peer.engine().is_some() {
                let mut gateway = Service::start(spec, &[], ports)?;
                gateway.until_ready().await?;
                nodes.push((gateway.port, gateway.server));
            } else {
                let port = ports.reserve()?;
                let mut server = spec.env(program.port_variable(), port.to_string()).start()?;
                server.until_ready(|| ready::tcp(port)).await.context("starting")?;
                nodes.push((port, server));
            }
        }
        Ok(nodes)
    }

    /// Ends Redis.
    pub async fn stop(mut self) {
        self.redis.server.stop(Signal::TERM, STOP).await;
    }
}
