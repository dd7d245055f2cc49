//! One run of the load generator.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

/// No run takes nearly as long; one that does hangs.
const LIMIT: Duration = Duration::from_mins(10);

/// A node that is measured.
pub struct Node {
    pub port: u16,
    pub pid: u32,
}

/// Runs it; returns its figures. Fails if a client could not connect: figures of fewer clients compare with nothing.
pub async fn run(program: &Path, args: &[String], nodes: &[Node], redis: &[u32], secret: &str) -> Result<Value> {
    let mut command = Command::new(program);
    command.args(args);
    for pid in redis {
        command.args(["--redis-pid", &pid.to_string()]);
    }
    for node in nodes {
        command.args(["--target", &format!("127.0.0.1:{}", node.port), "--server-pid", &node.pid.to_string()]);
    }
    // In the environment, because everybody on the machine can read arguments.
    command.env("JWT_SECRET", secret);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let running = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    let output = timeout(LIMIT, running.wait_with_output()).await.context("the load generator hangs")??;
    if !output.status.success() {
        bail!("the load generator failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let outcome: Value = serde_json::from_slice(&output.stdout).context("the load generator's output")?;
    ensure!(outcome["failed"] == 0, "{} clients could not connect: {}", outcome["failed"], outcome["failures"]);
    Ok(outcome)
}
