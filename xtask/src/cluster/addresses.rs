//! The addresses of a cluster's parts: one line of JSON for programs, lines of text for people.

use std::fmt;

use serde::Serialize;

/// All addresses are whole URLs on loopback.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Addresses {
    /// nginx, in front of everything.
    pub balancer: String,
    /// The auth service itself.
    pub auth: String,
    /// Health, readiness and metrics of the auth service.
    pub auth_internal: String,
    /// API key with all scopes of `/v1`, at the internal addresses of the gateways.
    pub api_key: String,
    pub redis: RedisAddress,
    pub postgres: PostgresAddress,
    /// Only if it was requested.
    pub prometheus: Option<String>,
    pub gateways: Vec<GatewayAddress>,
}

#[derive(Serialize)]
pub struct RedisAddress {
    /// Of the first one; the only one of most clusters.
    pub url: String,
    pub pid: u32,
    /// As `--redis` takes it.
    pub topology: String,
    /// All of them, sentinels at the end.
    pub nodes: Vec<RedisNode>,
}

#[derive(Serialize)]
pub struct RedisNode {
    /// For `stop-redis` and `start-redis`.
    pub name: String,
    /// With the login, if it has one.
    pub url: String,
    pub pid: u32,
}

#[derive(Serialize)]
pub struct PostgresAddress {
    pub url: String,
}

#[derive(Serialize)]
pub struct GatewayAddress {
    pub id: String,
    pub url: String,
    /// Health, readiness and metrics.
    pub internal: String,
    pub pid: u32,
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "open      {}", self.balancer)?;
        writeln!(f, "accounts  {}/api, internal {}", self.auth, self.auth_internal)?;
        writeln!(f, "sign in   test1@mail.com or test2@mail.com, password test123")?;
        for gateway in &self.gateways {
            let GatewayAddress { id, url, internal, pid } = gateway;
            writeln!(f, "{id:9} {url}, internal {internal}, pid {pid}")?;
        }
        for RedisNode { name, url, pid } in &self.redis.nodes {
            writeln!(f, "{name:9} {url}, pid {pid}")?;
        }
        writeln!(f, "postgres  {}", self.postgres.url)?;
        match &self.prometheus {
            Some(url) => writeln!(f, "metrics   {url}"),
            None => Ok(()),
        }
    }
}
