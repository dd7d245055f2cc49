//! Starts a cluster and runs it until this process is asked to shut down.

use anyhow::Result;
use tokio::{
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
};
use xtask_kit::{shutdown::Shutdown, workdir::Workdir};

use super::{
    Start,
    control::{self, Answer, Request},
    parts::Parts,
};

/// Starts all processes, serves commands, and stops all processes at the end.
pub async fn run(start: Start) -> Result<()> {
    let mut shutdown = Shutdown::listen()?;
    let name = start.name.clone().unwrap_or_else(|| std::process::id().to_string());
    let (workdir, listener) = Workdir::create(&name, start.gateways.logs.as_deref())?;
    let mut parts = tokio::select! {
        started = start_parts(&start, &workdir) => started?,
        // Processes started so far are killed when they are dropped.
        why = shutdown.requested() => { eprintln!("{why}: not started"); return Ok(()); }
    };
    tokio::select! {
        failed = serve_commands(&mut parts, &listener) => return failed,
        why = shutdown.requested() => eprintln!("{why}: stopping all processes"),
    }
    parts.stop().await;
    eprintln!("all processes stopped");
    Ok(())
}

async fn start_parts(start: &Start, workdir: &Workdir) -> Result<Parts> {
    start.gateways.build.run().await?;
    eprintln!("cluster {}: logs in {}", workdir.name, workdir.logs.display());
    let parts = Parts::start(start, workdir).await?;
    let addresses = parts.addresses();
    if start.json {
        println!("{}", serde_json::to_string(&addresses)?);
    } else {
        print!("{addresses}");
    }
    Ok(parts)
}

/// Returns only if it fails.
async fn serve_commands(parts: &mut Parts, listener: &UnixListener) -> Result<()> {
    let mut child_ended = signal(SignalKind::child())?;
    loop {
        for exit in parts.exits() {
            eprintln!("{exit}");
        }
        tokio::select! {
            _ = child_ended.recv() => {}
            accepted = listener.accept() => {
                if let Err(error) = serve(parts, accepted?.0).await {
                    eprintln!("a command failed: {error:#}");
                }
            }
        }
    }
}

async fn serve(parts: &mut Parts, mut stream: UnixStream) -> Result<()> {
    let Some(request) = control::receive(&mut stream).await? else { return Ok(()) };
    let answer = match request {
        Request::Gateways => return control::reply(&mut stream, Ok(parts.gateway_ids())).await,
        Request::StopGateway { id } => parts.stop_gateway(&id).await,
        Request::RestartGateway { id } => parts.restart_gateway(&id).await,
        Request::StopRedis { name, kill } => parts.stop_redis(name.as_deref(), kill).await,
        Request::StartRedis { name, empty } => parts.start_redis(name.as_deref(), empty).await,
    };
    if let Ok(Answer { id, pid }) = &answer {
        match pid {
            Some(pid) => eprintln!("{id} restarted, pid {pid}"),
            None => eprintln!("{id} stopped"),
        }
    }
    control::reply(&mut stream, answer).await
}
