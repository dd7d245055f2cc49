//! `jackfield-gateway`: one node of the cluster.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use jackfield_engine::conformance::Conformance;
use jackfield_gateway::{Gateway, listen, listen_for_clients, settings::GatewaySettings};
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
    command: Option<GatewayCommand>,
}

#[derive(Subcommand)]
enum GatewayCommand {
    #[command(flatten)]
    Common(Command),
    /// Serve a bare echo server on `host` and `port` with the set `engine`, without tokens, for the official test suites
    /// of Engine.IO and Socket.IO
    #[command(hide = true)]
    Conformance,
}

fn main() -> ExitCode {
    exit_code("jackfield-gateway", start(Arguments::parse()))
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let sources = arguments.settings.sources();
    let settings: GatewaySettings = load(&sources)?;
    let runtime = || lifecycle::runtime(settings.workers as usize);
    match arguments.command {
        Some(GatewayCommand::Common(Command::Health { ready })) => {
            Ok(health::ask(settings.internal_host(), settings.internal_port()?, ready)?)
        }
        Some(GatewayCommand::Conformance) => runtime()?.block_on(conformance(settings)),
        None => runtime()?.block_on(run(settings)),
    }
}

async fn conformance(settings: GatewaySettings) -> anyhow::Result<()> {
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let listener = listen_for_clients(&settings).await?;
    let lifecycle = Lifecycle::new();
    lifecycle.stop_on_signal().context("cannot handle signals")?;
    tracing::info!(address = %listener.local_addr()?, engine = settings.engine, "echoing at /engine.io/ and /socket.io/");
    Conformance::new(settings.engine()?, &lifecycle).serve(listener, lifecycle.clone()).await;
    lifecycle.finish(GRACE).await;
    Ok(())
}

async fn run(settings: GatewaySettings) -> anyhow::Result<()> {
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let keys = settings.key_source()?;
    let public = listen_for_clients(&settings).await?;
    let internal = listen(settings.internal_host(), settings.internal_port()?).await?;
    if !settings.redis.is_set() {
        tracing::warn!(
            "no Redis is set (`redis.url`, REDIS_URL): this node is a cluster of its own, and loses all data when it stops"
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
    tokio::join!(
        gateway.serve_public(public, gateway.router()),
        gateway.serve_internal(internal, gateway.internal_router()),
    );
    let ended = lifecycle.finish(GRACE).await;
    anyhow::ensure!(ended, "some tasks did not end within {} s of the stop", GRACE.as_secs());
    Ok(())
}
