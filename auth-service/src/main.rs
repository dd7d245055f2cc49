//! `jackfield-auth`: accounts and tokens.

use std::{process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use jackfield_auth::{
    AuthSettings,
    keys::{self, command::KeysCommand},
    run,
};
use jackfield_shared::{
    health,
    lifecycle::Lifecycle,
    program::{self, SettingsArguments, exit_code},
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

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Common(program::Command),
    /// Rotate or list the keys that sign tokens, while services run
    #[command(subcommand)]
    Keys(KeysCommand),
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code("jackfield-auth", start(Arguments::parse()).await)
}

async fn start(arguments: Arguments) -> anyhow::Result<()> {
    let sources = arguments.settings.sources();
    let settings: AuthSettings = load(&sources)?;
    match arguments.command {
        None => {}
        Some(Command::Common(program::Command::Health { ready })) => {
            return Ok(health::ask(settings.internal_host(), settings.internal_port()?, ready)?);
        }
        Some(Command::Keys(command)) => {
            settings.check()?;
            print!("{}", keys::command::run(command, &settings).await?);
            return Ok(());
        }
    }
    telemetry::init(&settings.log).map_err(anyhow::Error::msg)?;
    let lifecycle = Lifecycle::new();
    lifecycle.stop_on_signal()?;
    run(settings, &lifecycle, GRACE).await?;
    Ok(())
}
