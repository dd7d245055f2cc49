//! `jackfield-gateway`: one node of the cluster.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use jackfield_gateway::{Gateway, listen, settings::GatewaySettings};
use jackfield_shared::{
    health,
    lifecycle::{self, Lifecycle},
    program::{Command, SettingsArguments, exit_code},
    settings::load,
    telemetry,
};

/// How long background work may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// A Socket.IO gateway node. Every setting is also an environment variable: see docs/configuration.md
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    exit_code("jackfield-gateway", start(Arguments::parse()))
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let sources = arguments.settings.sources();
    let settings: GatewaySettings = load(&sources)?;
    if let Some(Command::Health { ready }) = arguments.command {
        return Ok(health::ask(settings.internal_host(), settings.internal_port()?, ready)?);
    }
    lifecycle::runtime(settings.workers as usize)?.block_on(run(settings))
}

async fn run(settings: GatewaySettings) -> anyhow::Result<()> {
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let keys = settings.key_source()?;
    let public = listen(&settings.host, settings.port).await?;
    let internal = listen(settings.internal_host(), settings.internal_port()?).await?;
    if settings.redis.url.is_empty() {
        tracing::warn!(
            "`redis.url` (REDIS_URL) is not set: this node is a cluster of its own, and loses all data when it stops"
        );
    }

    let lifecycle = Lifecycle::new();
    lifecycle.leave_on_signal().context("cannot handle signals")?;
    let gateway = Gateway::build(settings, keys, &lifecycle)?;
    tracing::info!(
        node = %gateway.id(),
        public = %public.local_addr()?,
        internal = %internal.local_addr()?,
        "listening"
    );
    tokio::join!(gateway.serve(public, gateway.router()), gateway.serve(internal, gateway.internal_router()),);
    let ended = lifecycle.finish(GRACE).await;
    anyhow::ensure!(ended, "some tasks did not end within {} s of the stop", GRACE.as_secs());
    Ok(())
}
