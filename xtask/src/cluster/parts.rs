//! The processes of a cluster. They start in the order of their dependencies, and stop in the opposite order.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use xtask_kit::{
    paths,
    ports::Ports,
    process::{Server, Spec, describe},
    servers::{
        nginx,
        postgres::Postgres,
        prometheus,
        redis::{
            Redis,
            topology::{Setup, Topology},
        },
    },
    service::Service,
    workdir::Workdir,
};

use super::{
    Start,
    addresses::{Addresses, GatewayAddress, PostgresAddress, RedisAddress, RedisNode},
    control::Answer,
};

/// Whether the gateways have the engine that passes no polls on, by their settings or by the environment.
fn needs_affinity(set: &[String]) -> bool {
    let engine = set.iter().rev().find_map(|setting| setting.strip_prefix("engine=").map(str::to_owned));
    engine.or_else(|| std::env::var("ENGINE").ok()).as_deref() == Some("oxide")
}

/// All processes of a cluster, running.
pub struct Parts {
    redis: Topology,
    postgres: Postgres,
    auth: Service,
    gateways: Vec<Service>,
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
        let (logs, options) = (&workdir.logs, &start.gateways);
        let mut ports = Ports::new()?;
        let postgres_port = ports.reserve()?;
        let redis = Topology::start(Setup { kind: start.redis, tls: start.tls }, workdir, &mut ports);
        let (redis, postgres) = tokio::try_join!(redis, Postgres::start(workdir, postgres_port))?;

        let spec = Spec::new("auth", paths::built("jackfield-auth", options.build.release)?, logs)
            .env("DATABASE_URL", postgres.url())
            .envs(redis.env())
            .env("SEED_ENABLED", "true")
            .env("PROXY_HOPS", "1")
            .env("TOKEN_ISSUER", "jackfield")
            .env("TOKEN_AUDIENCE", "jackfield");
        // The gateways' Redis is its own, too: it tells them there which tokens are revoked.
        let of_redis = options.set.iter().filter(|setting| setting.starts_with("redis."));
        let auth_set: Vec<_> = of_redis.chain(&start.auth_set).cloned().collect();
        let mut auth = Service::start(spec, &auth_set, &mut ports)?;
        auth.until_ready().await?;

        let (trust, trusted) = match &start.jwt_secret {
            Some(secret) => ("JWT_SECRET", secret.clone()),
            None => ("JWT_JWKS_URL", format!("http://127.0.0.1:{}/.well-known/jwks.json", auth.port)),
        };
        // A backend's key, for this cluster only.
        let api_key = format!("{:032x}", rand::random::<u128>());
        let mut gateways = Vec::with_capacity(options.nodes.into());
        for number in 1..=options.nodes {
            let id = format!("gw{number}");
            let spec = Spec::new(&id, paths::built("jackfield-gateway", options.build.release)?, logs)
                .env("NODE_ID", &id)
                // This nginx does not check readiness: it notices a drain only when the gateway refuses handshakes.
                .env("DRAIN_DELAY", "0s")
                .envs(redis.env())
                .env(trust, trusted.clone())
                .env("JWT_ISSUER", "jackfield")
                .env("JWT_AUDIENCE", "jackfield")
                .env("API_KEYS", format!("cluster:emit+notify+read+disconnect+publish+rooms:{}", sha256(&api_key)));
            gateways.push(Service::start(spec, &options.set, &mut ports)?);
        }
        for gateway in &mut gateways {
            gateway.until_ready().await?;
        }

        let balancer = ports.reserve()?;
        let nginx = nginx::start(workdir, balancer, &gateways, &auth, needs_affinity(&options.set)).await?;
        let prometheus = if start.prometheus {
            let port = ports.reserve()?;
            Some((port, prometheus::start(workdir, port, &gateways, &auth).await?))
        } else {
            None
        };
        Ok(Self {
            redis,
            postgres,
            auth,
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
    pub fn addresses(&self) -> Addresses {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let gateway = |gateway: &Service| GatewayAddress {
            id: gateway.server.name.clone(),
            url: url(gateway.port),
            internal: url(gateway.internal),
            pid: gateway.server.pid,
        };
        Addresses {
            balancer: url(self.balancer),
            auth: url(self.auth.port),
            auth_internal: url(self.auth.internal),
            api_key: self.api_key.clone(),
            redis: self.redis_address(),
            postgres: PostgresAddress { url: self.postgres.url() },
            prometheus: self.prometheus.as_ref().map(|(port, _)| url(*port)),
            gateways: self.gateways.iter().map(gateway).collect(),
        }
    }

    fn redis_address(&self) -> RedisAddress {
        let node =
            |node: &Redis| RedisNode { name: node.name().to_owned(), url: self.redis.url(node), pid: node.server.pid };
        let nodes: Vec<RedisNode> = self.redis.all().map(node).collect();
        let (url, pid) = nodes.first().map(|first| (first.url.clone(), first.pid)).unwrap_or_default();
        RedisAddress { url, pid, topology: self.redis.kind.to_string(), nodes }
    }

    /// Resident memory of each gateway, in KiB.
    pub fn memory(&self) -> Result<Vec<u64>> {
        self.gateways.iter().map(|gateway| gateway.server.memory()).collect()
    }

    /// Names of the gateways.
    pub fn gateway_ids(&self) -> Vec<String> {
        self.gateways.iter().map(|gateway| gateway.server.name.clone()).collect()
    }

    fn gateway(&mut self, id: &str) -> Result<&mut Service> {
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
        gateway.restart().await?;
        Ok(Answer { id: id.into(), pid: Some(gateway.server.pid) })
    }

    /// Stops a Redis; the only one needs no name.
    pub async fn stop_redis(&mut self, name: Option<&str>, kill: bool) -> Result<Answer> {
        let redis = self.redis.find(name)?;
        redis.stop(if kill { Signal::KILL } else { Signal::TERM }).await?;
        let (id, pid) = (redis.name().to_owned(), redis.server.pid);
        self.reported.push((id.clone(), pid));
        Ok(Answer { id, pid: None })
    }

    /// Starts a Redis again after a stop.
    pub async fn start_redis(&mut self, name: Option<&str>, empty: bool) -> Result<Answer> {
        let pid = self.redis.restart(name, empty).await?;
        Ok(Answer { id: self.redis.find(name)?.name().to_owned(), pid: Some(pid) })
    }

    /// A line for each process that has exited since the last call.
    pub fn exits(&mut self) -> Vec<String> {
        let mut exits = Vec::new();
        let others = [&mut self.auth.server, &mut self.nginx, &mut self.postgres.server];
        let gateways = self.gateways.iter_mut().map(|gateway| &mut gateway.server);
        for server in gateways.chain(others).chain(self.redis.servers()) {
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
        for service in self.gateways.iter_mut().chain([&mut self.auth]) {
            service.server.signal(Signal::TERM);
        }
        for service in self.gateways.iter_mut().chain([&mut self.auth]) {
            service.server.stop(Signal::TERM, Duration::from_secs(4)).await;
        }
        self.redis.stop(Duration::from_secs(4)).await;
        self.postgres.server.stop(Signal::INT, Duration::from_secs(8)).await;
    }
}

/// In hex.
fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
