//! The processes of a cluster. They start in the order of their dependencies, and stop in the opposite order.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use xtask_kit::{
    paths,
    ports::Ports,
    process::{Server, Spec, describe},
    ready,
    servers::{nginx, postgres::Postgres, prometheus, redis::Redis},
    workdir::Workdir,
};

use super::{
    Start,
    addresses::{Addresses, GatewayAddress, PostgresAddress, RedisAddress},
    control::Answer,
};

struct Gateway {
    spec: Spec,
    port: u16,
    internal: u16,
    server: Server,
}

/// All processes of a cluster, running.
pub struct Parts {
    redis: Redis,
    postgres: Postgres,
    auth: Server,
    auth_port: u16,
    auth_internal: u16,
    gateways: Vec<Gateway>,
    nginx: Server,
    balancer: u16,
    api_key: String,
    prometheus: Option<(u16, Server)>,
    /// Keeps the ports of restarted processes reserved.
    _ports: Ports,
    /// Exited processes that need no report any more, by name and pid.
    reported: Vec<(String, u32)>,
}

impl Parts {
    /// Starts everything and waits until it is ready.
    pub async fn start(start: &Start, workdir: &Workdir) -> Result<Self> {
        let logs = workdir.logs();
        let mut ports = Ports::new()?;
        let (redis_port, postgres_port) = (ports.reserve()?, ports.reserve()?);
        let (redis, postgres) =
            tokio::try_join!(Redis::start(workdir, redis_port), Postgres::start(workdir, postgres_port))?;

        let (auth_port, auth_internal) = (ports.reserve()?, ports.reserve()?);
        let mut auth = service("jackfield-auth", "auth", start, logs, (auth_port, auth_internal))?
            .env("DATABASE_URL", postgres.url())
            .env("SEED_ENABLED", "true")
            .env("PROXY_HOPS", "1")
            .env("TOKEN_ISSUER", "jackfield")
            .env("TOKEN_AUDIENCE", "jackfield")
            .args(overrides(&start.auth_set))
            .start()?;
        auth.until_ready(|| ready::http_ok(auth_internal, "/readyz")).await?;

        let (trust, trusted) = match &start.jwt_secret {
            Some(secret) => ("JWT_SECRET", secret.clone()),
            None => ("JWT_JWKS_URL", format!("http://127.0.0.1:{auth_port}/.well-known/jwks.json")),
        };
        let api_key = random_key();
        let mut gateways = Vec::with_capacity(start.nodes.into());
        for number in 1..=start.nodes {
            let (port, internal) = (ports.reserve()?, ports.reserve()?);
            let id = format!("gw{number}");
            let spec = service("jackfield-gateway", &id, start, logs, (port, internal))?
                .env("NODE_ID", &id)
                // This nginx does not check readiness: it notices a drain only when the gateway refuses handshakes.
                .env("DRAIN_DELAY", "0s")
                .env("REDIS_URL", redis.url())
                .env(trust, trusted.clone())
                .env("JWT_ISSUER", "jackfield")
                .env("JWT_AUDIENCE", "jackfield")
                .env("API_KEYS", format!("cluster:emit+notify+read+disconnect+publish:{}", sha256(&api_key)))
                .args(overrides(&start.set));
            let server = spec.start()?;
            gateways.push(Gateway { spec, port, internal, server });
        }
        for gateway in &mut gateways {
            gateway.until_ready().await?;
        }

        let balancer = ports.reserve()?;
        let gateway_ports = gateways.iter().map(|gateway| gateway.port).collect();
        let fronted = nginx::Fronted { port: balancer, gateways: gateway_ports, auth: auth_port };
        let nginx = nginx::start(workdir, &fronted).await?;
        let prometheus = if start.prometheus {
            let port = ports.reserve()?;
            let gateways = gateways.iter().map(|gateway| gateway.internal).collect();
            let scraped = prometheus::Scraped { gateways, auth: auth_internal };
            Some((port, prometheus::start(workdir, port, &scraped).await?))
        } else {
            None
        };
        Ok(Self {
            redis,
            postgres,
            auth,
            auth_port,
            auth_internal,
            gateways,
            nginx,
            balancer,
            api_key,
            prometheus,
            _ports: ports,
            reported: Vec::new(),
        })
    }

    /// The addresses of all parts.
    pub fn addresses(&mut self) -> Addresses {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let gateway = |gateway: &Gateway| GatewayAddress {
            id: gateway.server.name.clone(),
            url: url(gateway.port),
            internal: url(gateway.internal),
            pid: gateway.server.pid,
        };
        Addresses {
            balancer: url(self.balancer),
            auth: url(self.auth_port),
            auth_internal: url(self.auth_internal),
            api_key: self.api_key.clone(),
            redis: RedisAddress { url: self.redis.url(), pid: self.redis.server().pid },
            postgres: PostgresAddress { url: self.postgres.url() },
            prometheus: self.prometheus.as_ref().map(|(port, _)| url(*port)),
            gateways: self.gateways.iter().map(gateway).collect(),
        }
    }

    /// Resident memory of each gateway, in KiB.
    pub fn memory(&self) -> Result<Vec<u64>> {
        self.gateways.iter().map(|gateway| gateway.server.memory()).collect()
    }

    /// Names of the gateways.
    pub fn gateway_ids(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.server.name.clone()).collect()
    }

    fn gateway(&mut self, id: &str) -> Result<&mut Gateway> {
        let ids = self.gateway_ids().join(", ");
        let gateway = self.gateways.iter_mut().find(|gateway| gateway.server.name == id);
        gateway.with_context(|| format!("no gateway `{id}`; the gateways are {ids}"))
    }

    /// Stops a gateway with SIGTERM; fails unless it exits with code 0.
    pub async fn stop_gateway(&mut self, id: &str) -> Result<Answer> {
        let server = &mut self.gateway(id)?.server;
        server.drain().await?;
        let pid = server.pid;
        self.reported.push((id.into(), pid));
        Ok(Answer { id: id.into(), pid: None })
    }

    /// Starts a dead gateway again.
    pub async fn restart_gateway(&mut self, id: &str) -> Result<Answer> {
        let gateway = self.gateway(id)?;
        // The request may follow a SIGKILL at once, before the process has ended.
        if gateway.server.wait(Duration::from_secs(1)).await.is_none() {
            bail!("{id} is running (pid {})", gateway.server.pid);
        }
        gateway.server = gateway.spec.start()?;
        gateway.until_ready().await?;
        Ok(Answer { id: id.into(), pid: Some(gateway.server.pid) })
    }

    /// Stops Redis.
    pub async fn stop_redis(&mut self, kill: bool) -> Result<Answer> {
        self.redis.stop(if kill { Signal::KILL } else { Signal::TERM }).await?;
        let pid = self.redis.server().pid;
        self.reported.push(("redis".into(), pid));
        Ok(Answer { id: "redis".into(), pid: None })
    }

    /// Starts Redis again after a stop.
    pub async fn start_redis(&mut self, empty: bool) -> Result<Answer> {
        Ok(Answer { id: "redis".into(), pid: Some(self.redis.restart(empty).await?) })
    }

    /// A line for each process that has exited since the last call.
    pub fn exits(&mut self) -> Vec<String> {
        let mut exits = Vec::new();
        let others = [&mut self.auth, &mut self.nginx, self.redis.server(), self.postgres.server()];
        for server in self.gateways.iter_mut().map(|gateway| &mut gateway.server).chain(others) {
            let is_reported = self.reported.iter().any(|(name, pid)| *name == server.name && *pid == server.pid);
            if let (Some(status), false) = (server.exit_status(), is_reported) {
                self.reported.push((server.name.clone(), server.pid));
                let end = if status.code().is_some() { format!("\n{}", server.tail()) } else { String::new() };
                exits.push(format!("{} (pid {}) exited: {}{end}", server.name, server.pid, describe(status)));
            }
        }
        exits
    }

    /// Stops all of them.
    pub async fn stop(mut self) {
        if let Some((_, prometheus)) = &mut self.prometheus {
            prometheus.stop(Signal::TERM, Duration::from_secs(4)).await;
        }
        self.nginx.stop(Signal::TERM, Duration::from_secs(4)).await;
        // A gateway with clients takes long to drain: all get SIGTERM at once, then a second one, which ends the drain.
        for server in self.gateways.iter_mut().map(|gateway| &mut gateway.server).chain([&mut self.auth]) {
            server.signal(Signal::TERM);
        }
        for server in self.gateways.iter_mut().map(|gateway| &mut gateway.server).chain([&mut self.auth]) {
            server.stop(Signal::TERM, Duration::from_secs(4)).await;
        }
        self.redis.server().stop(Signal::TERM, Duration::from_secs(4)).await;
        self.postgres.server().stop(Signal::INT, Duration::from_secs(8)).await;
    }
}

impl Gateway {
    async fn until_ready(&mut self) -> Result<()> {
        self.server.until_ready(|| ready::http_ok(self.internal, "/readyz")).await
    }
}

/// A backend's key, for this cluster only.
fn random_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// In hex.
fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn service(program: &str, name: &str, start: &Start, logs: &Path, (port, internal): (u16, u16)) -> Result<Spec> {
    let spec = Spec::new(name, paths::built(program, start.release)?, logs);
    let loopback = |spec: Spec, name| spec.env(name, "127.0.0.1");
    let spec = loopback(loopback(spec, "HOST"), "INTERNAL_HOST");
    Ok(spec.env("PORT", port.to_string()).env("INTERNAL_PORT", internal.to_string()))
}

fn overrides(settings: &[String]) -> impl Iterator<Item = &str> {
    settings.iter().flat_map(|setting| ["--set", setting.as_str()])
}
