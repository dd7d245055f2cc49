//! `jackfield-auth`: accounts and tokens.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use jackfield_auth::{AuthSettings, run};
use jackfield_shared::{
    lifecycle::Lifecycle,
    settings::{Sources, load},
    telemetry,
};

/// At the end, how long requests that are being answered may take.
const GRACE: Duration = Duration::from_secs(10);

/// Accounts and tokens. Every setting is also an environment variable: see README.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, such as seed.enabled=true. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match start(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jackfield-auth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn start(arguments: Arguments) -> anyhow::Result<()> {
    let environment = std::env::vars().collect();
    let sources = Sources { file: arguments.config, environment, overrides: arguments.overrides, others: Vec::new() };
    let settings: AuthSettings = load(&sources)?;
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let lifecycle = Lifecycle::new();
    let (running, signal) = (run(settings, &lifecycle, GRACE), lifecycle.stop_on_signal());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => ended?,
        signalled = signal => {
            signalled?;
            running.await?;
        }
    }
    Ok(())
}
