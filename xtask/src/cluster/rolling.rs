//! `cargo xtask cluster rolling-restart`: restarts every gateway while the others keep serving.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    Which,
    control::{self, Answer, Request},
};

/// One gateway's turn.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Turn {
    id: String,
    /// The new process.
    pid: Option<u32>,
    /// Seconds from SIGTERM to the exit.
    left: f64,
    /// Seconds from the start to readiness.
    came: f64,
}

/// Restarts one gateway after the other; fails at the first that does not exit with code 0 or does not become ready.
pub async fn restart(which: &Which, pause: f64) -> Result<()> {
    let pause = Duration::try_from_secs_f64(pause).context("--pause")?;
    let cluster = which.cluster.as_deref();
    let began = Instant::now();
    let ids: Vec<String> = control::ask(&Request::Gateways, cluster).await?;
    let count = ids.len();
    let mut turns = Vec::with_capacity(count);
    for (id, number) in ids.into_iter().zip(1..) {
        if number > 1 {
            tokio::time::sleep(pause).await;
        }
        eprintln!("{number}/{count} {id}: sent SIGTERM");
        let (_, left) = ask(Request::StopGateway { id: id.clone() }, cluster).await?;
        eprintln!("{number}/{count} {id}: exited after {:.1} s, exit code 0", left.as_secs_f64());
        let (pid, came) = ask(Request::RestartGateway { id: id.clone() }, cluster).await?;
        eprintln!("{number}/{count} {id}: ready again after {:.1} s", came.as_secs_f64());
        turns.push(Turn { id, pid, left: left.as_secs_f64(), came: came.as_secs_f64() });
    }
    eprintln!("all {count} restarted in {:.1} s", began.elapsed().as_secs_f64());
    if which.json {
        println!("{}", serde_json::to_string(&turns)?);
    }
    Ok(())
}

async fn ask(request: Request, cluster: Option<&str>) -> Result<(Option<u32>, Duration)> {
    let began = Instant::now();
    let answer: Answer = control::ask(&request, cluster).await?;
    Ok((answer.pid, began.elapsed()))
}
