//! The servers that are compared, and how each is started.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use xtask_kit::{paths, process::Spec};

use super::centrifugo;
use crate::{install, node_packages};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// This repository's gateway, with its own engine
    Jackfield,
    /// This repository's gateway on engineioxide
    JackfieldOxide,
    /// Socket.IO on Node.js with the Redis adapter
    Node,
    /// Socket.IO on Bun with the Redis adapter
    Bun,
    /// Centrifugo with its Redis engine; has no echo and no HTTP long-polling
    Centrifugo,
}

/// The one that the others are compared with.
pub const BASELINE: Peer = Peer::Node;

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// A peer that can be started.
#[derive(Debug, Clone)]
pub struct Program {
    pub peer: Peer,
    program: PathBuf,
    args: Vec<PathBuf>,
}

/// The environment that all nodes of a peer share.
pub struct Shared<'a> {
    pub logs: &'a Path,
    pub redis: &'a str,
    pub secret: &'a str,
}

impl Peer {
    /// The gateway's engine, if this is one.
    pub fn engine(self) -> Option<&'static str> {
        match self {
            Self::Jackfield => Some("native"),
            Self::JackfieldOxide => Some("oxide"),
            _ => None,
        }
    }

    /// The load generator's dialect.
    pub fn dialect(self) -> &'static str {
        if self == Self::Centrifugo { "centrifugo" } else { "socketio" }
    }

    /// Installs what it needs. Fails if its runtime is missing.
    pub async fn prepare(self, gateway: &Path) -> Result<Program> {
        let (program, args) = match self {
            Self::Jackfield | Self::JackfieldOxide => (gateway.to_path_buf(), Vec::new()),
            Self::Node => {
                install::node().await?;
                node_packages::install("bench/peers/node").await?;
                let node = paths::which("node").unwrap_or_else(|| "node".into());
                (node, vec![folder(self).join("server.mjs")])
            }
            Self::Bun => {
                // npm installs Bun, too.
                install::node().await?;
                node_packages::install("bench/peers/bun").await?;
                (bun(), vec![folder(self).join("server.mjs")])
            }
            Self::Centrifugo => {
                (centrifugo::program().await?, vec!["--config".into(), folder(self).join("config.json")])
            }
        };
        ensure!(program.is_file(), "{} does not exist", program.display());
        Ok(Program { peer: self, program, args })
    }
}

impl Program {
    /// How to start one node of it.
    pub fn spec(&self, node: usize, shared: &Shared<'_>) -> Spec {
        let name = format!("{}-{node}", self.peer);
        let spec = Spec::new(&name, &self.program, shared.logs).args(&self.args);
        match self.peer {
            Peer::Jackfield | Peer::JackfieldOxide => spec
                .env("ENGINE", self.peer.engine().unwrap_or_default())
                .env("NODE_ID", name)
                .env("JWT_SECRET", shared.secret)
                .env("REDIS_URL", shared.redis)
                // A load generator is a flood.
                .env("LIMITS_EVENT_RATE", "0")
                // No balancer has to notice the end.
                .env("DRAIN_DELAY", "0s")
                .env("DRAIN_WINDOW", "0s"),
            Peer::Node | Peer::Bun => {
                spec.env("NODE_ENV", "production").env("JWT_SECRET", shared.secret).env("REDIS_URL", shared.redis)
            }
            Peer::Centrifugo => spec
                .env("CENTRIFUGO_CLIENT_TOKEN_HMAC_SECRET_KEY", shared.secret)
                .env("CENTRIFUGO_ENGINE_REDIS_ADDRESS", shared.redis),
        }
    }

    /// The variable that has a node's port.
    pub fn port_variable(&self) -> &'static str {
        if self.peer == Peer::Centrifugo { "CENTRIFUGO_HTTP_SERVER_PORT" } else { "PORT" }
    }
}

fn folder(peer: Peer) -> PathBuf {
    paths::root().join("bench/peers").join(peer.to_string())
}

/// The program in Bun's npm package for this platform.
fn bun() -> PathBuf {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let processor = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x64" };
    folder(Peer::Bun).join(format!("node_modules/@oven/bun-{system}-{processor}/bin/bun"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_with_files_have_a_folder() {
        for (peer, file) in
            [(Peer::Node, "package-lock.json"), (Peer::Bun, "package-lock.json"), (Peer::Centrifugo, "config.json")]
        {
            assert!(folder(peer).join(file).is_file(), "{peer}");
        }
    }
}
