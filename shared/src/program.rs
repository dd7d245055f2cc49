//! The common part of every program's `main`: the arguments that name the sources of settings, and the exit code, after
//! one line about what failed.

use std::{fmt::Display, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use crate::settings::Sources;

/// The arguments that name settings.
#[derive(Args)]
pub struct SettingsArguments {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override a setting, such as port=4000; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl SettingsArguments {
    /// The file, this process's environment, and the command line.
    #[must_use]
    pub fn sources(self) -> Sources {
        let environment = std::env::vars().collect();
        Sources { file: self.config, environment, overrides: self.overrides, others: Vec::new() }
    }
}

/// A program's commands besides serving.
#[derive(Subcommand)]
pub enum Command {
    /// Check the instance that runs with these settings: exits 0 if it is alive
    Health {
        /// Check that it is ready to serve, not only alive
        #[arg(long)]
        ready: bool,
    },
}

/// 0, or 1 after a line on standard error.
pub fn exit_code<E: Display>(program: &str, ended: Result<(), E>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
