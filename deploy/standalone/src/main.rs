//! `jackfield`: the whole system in one process on one port, for trying it and for small installations.
//!
//! Without any setting it needs nothing: the cluster is in memory, users are in the SQLite file `jackfield.db`, and the
//! demo users are there. `REDIS_URL` and `DATABASE_URL` switch to real back ends, one by one.

mod page;
mod program;
mod settings;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use jackfield_shared::{lifecycle, settings::Sources, telemetry};

/// Gateway, accounts and page in one process. Every setting is also an environment variable: see README.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A TOML file with settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, such as port=4000. Can be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

fn main() -> ExitCode {
    match start(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jackfield: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    let environment = std::env::vars().collect();
    let sources = Sources { file: arguments.config, environment, overrides: arguments.overrides, others: Vec::new() };
    let (gateway, auth) = settings::read(&sources)?;
    telemetry::init(&gateway.log).map_err(anyhow::Error::msg)?;
    lifecycle::runtime(gateway.workers as usize)?.block_on(program::run(gateway, auth))
}
