//! A Redis of our own: loopback, append-only file, data in the cluster's folder.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::{
    paths,
    process::{Server, Spec},
    ready,
    workdir::Workdir,
};

/// Started, or stopped with its data kept.
pub struct Redis {
    spec: Spec,
    /// On loopback.
    pub port: u16,
    data: PathBuf,
    /// Its process, of the last start.
    pub server: Server,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub async fn start(workdir: &Workdir, port: u16) -> Result<Self> {
        let data = workdir.folder("redis")?;
        let program = paths::which("redis-server").context("redis-server is not installed; `cargo xtask install`")?;
        let port_text = port.to_string();
        let spec = Spec::new("redis", program, &workdir.logs)
            .args(["--bind", "127.0.0.1", "--port", &port_text, "--save", "", "--appendonly", "yes", "--dir"])
            .args([&data]);
        let mut server = spec.start()?;
        server.until_ready(|| command(port, "PING", "+PONG")).await?;
        Ok(Self { spec, port, data, server })
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it, its data kept on disk.
    pub async fn stop(&mut self, signal: Signal) -> Result<()> {
        ensure!(self.server.exit_status().is_none(), "redis is not running");
        self.server.stop(signal, Duration::from_secs(10)).await;
        Ok(())
    }

    /// Starts it again on its old port, with its data or empty.
    pub async fn restart(&mut self, empty: bool) -> Result<u32> {
        ensure!(self.server.exit_status().is_some(), "redis is running (pid {})", self.server.pid);
        if empty {
            fs::remove_dir_all(&self.data)?;
            fs::create_dir(&self.data)?;
        }
        self.server = self.spec.start()?;
        self.server.until_ready(|| command(self.port, "PING", "+PONG")).await?;
        Ok(self.server.pid)
    }
}

/// Sends a command to the Redis on that port; fails unless the answer starts so.
pub async fn command(port: u16, command: &str, expected: &str) -> Result<()> {
    let answer = ready::ask(port, &format!("{command}\r\n"), false).await.context("Redis")?;
    ensure!(answer.starts_with(expected), "Redis answered {}", answer.trim());
    Ok(())
}
