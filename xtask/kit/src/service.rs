//! A service of this repository: a server with a public port and an internal one, which tells there whether it is ready.

use anyhow::Result;

use crate::{
    ports::Ports,
    process::{Server, Spec},
    ready,
};

/// A started service.
pub struct Service {
    spec: Spec,
    /// For clients.
    pub port: u16,
    /// For health, readiness and metrics.
    pub internal: u16,
    /// Its process, of the last start.
    pub server: Server,
}

impl Service {
    /// Starts it with these settings, on two ports of loopback. Keep `ports` as long as it may be restarted.
    pub fn start(spec: Spec, set: &[String], ports: &mut Ports) -> Result<Self> {
        let (port, internal) = (ports.reserve()?, ports.reserve()?);
        let spec = spec
            .env("HOST", "127.0.0.1")
            .env("INTERNAL_HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("INTERNAL_PORT", internal.to_string())
            .args(set.iter().flat_map(|setting| ["--set", setting]));
        let server = spec.start()?;
        Ok(Self { spec, port, internal, server })
    }

    /// Starts it again on its old ports, after it has exited, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<()> {
        self.server = self.spec.start()?;
        self.until_ready().await
    }

    /// Waits until it is ready.
    pub async fn until_ready(&mut self) -> Result<()> {
        self.server.until_ready(|| ready::http_ok(self.internal, "/readyz")).await
    }
}
