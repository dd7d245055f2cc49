//! `jackfield-auth`: accounts and tokens.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use jackfield_auth::{AuthSettings, run};
use jackfield_shared::{
    health,
    lifecycle::Lifecycle,
    program::{Command, SettingsArguments, exit_code},
    settings::load,
    telemetry,
};

/// After a stop signal, the longest wait for requests in progress.
const GRACE: Duration = Duration::from_secs(10);

/// Jackfield's auth service: accounts and tokens. docs/configuration.md lists the settings and their environment variables
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code("jackfield-auth", start(Arguments::parse()).await)
}

async fn start(arguments: Arguments) -> anyhow::Result<()> {
    let sources = arguments.settings.sources();
    let settings: AuthSettings = load(&sources)?;
    if let Some(Command::Health { ready }) = arguments.command {
        return Ok(health::ask(settings.internal_host(), settings.internal_port()?, ready)?);
    }
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let lifecycle = Lifecycle::new();
    lifecycle.stop_on_signal()?;
    run(settings, &lifecycle, GRACE).await?;
    Ok(())
}
