//! `jackfield-gateway`: one node of the cluster.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use jackfield_gateway::{Gateway, listen, settings::GatewaySettings};
use jackfield_shared::{
    lifecycle::{self, Lifecycle},
    settings::{Sources, load},
    telemetry,
};

/// At the end, how long what runs in the background may take.
const GRACE: Duration = Duration::from_secs(10);

/// A Socket.IO gateway node. Every setting is also an environment variable: see README.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, such as session.policy=multi. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jackfield-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let environment = std::env::vars().collect();
    let sources = Sources { file: arguments.config, environment, overrides: arguments.overrides, others: Vec::new() };
    let settings: GatewaySettings = load(&sources)?;
    lifecycle::runtime(settings.workers as usize)?.block_on(run(settings))
}

async fn run(settings: GatewaySettings) -> anyhow::Result<()> {
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let keys = settings.key_source()?;
    let public = listen(&settings.host, settings.port).await?;
    let internal = listen(&settings.internal.host, settings.internal_port()?).await?;
    if settings.redis.url.is_empty() {
        tracing::warn!("no redis.url: this node is a cluster of its own, and forgets everything at its end");
    }

    let lifecycle = Lifecycle::new();
    let gateway = Gateway::build(settings, keys, &lifecycle)?;
    tracing::info!(
        node = %gateway.node().id,
        public = %public.local_addr()?,
        internal = %internal.local_addr()?,
        "listening"
    );
    let signal = lifecycle.clone();
    let served = tokio::join!(
        gateway.serve(public, gateway.router()),
        gateway.serve(internal, gateway.internal_router()),
        async move { signal.stop_on_signal().await },
    );
    served.2.context("signals cannot be handled")?;
    anyhow::ensure!(lifecycle.finish(GRACE).await, "some work did not end in time");
    Ok(())
}
