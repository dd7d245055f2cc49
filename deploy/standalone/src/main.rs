//! `jackfield`: the whole system in one process on one port, for trying it and for small installations.
//!
//! Without any setting it needs nothing: the cluster is in memory, users are in the SQLite file `jackfield.db`, only this
//! machine reaches it, and the demo users are there. `REDIS_URL` and `DATABASE_URL` switch to real back ends, one by one.

mod page;
mod program;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use jackfield_shared::{
    health, lifecycle,
    program::{Command, SettingsArguments, exit_code},
    telemetry,
};

/// Jackfield in one process: gateway, accounts and page. docs/configuration.md lists the settings and their environment variables
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

fn main() -> ExitCode {
    exit_code("jackfield", start(Arguments::parse()))
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let sources = arguments.settings.sources();
    let (gateway, auth) = settings::read(&sources)?;
    if let Some(Command::Health { ready }) = arguments.command {
        return Ok(health::ask(gateway.internal_host(), gateway.internal_port()?, ready)?);
    }
    telemetry::init(&gateway.log).map_err(anyhow::Error::msg)?;
    lifecycle::runtime(gateway.workers as usize)?.block_on(program::run(gateway, auth))
}
