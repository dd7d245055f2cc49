//! `cargo xtask fuzz`: tests both services against their OpenAPI documents with schemathesis.
//!
//! It makes valid and invalid calls to a cluster of its own. Each answer must be in the service's document, and must
//! not be a 5xx. The checks are configured in `xtask/fuzz`.

use anyhow::{Result, ensure};
use tokio::process::Command;
use xtask_kit::{paths, workdir::Workdir};

use crate::{
    cargo,
    cluster::{Gateways, Parts, Start},
    python,
};

/// The requirements file of schemathesis.
pub const REQUIREMENTS: &str = "xtask/fuzz/requirements.txt";

/// No limits by account or address: sign-ins and registrations must not be refused with 429.
const AUTH_SETTINGS: [&str; 4] =
    ["login.failures=0", "login.failuresPerAddress=0", "register.perAddress=0", "password.perAddress=0"];

#[derive(clap::Args)]
pub struct Args {
    /// Random calls per operation, besides those that test every limit in the document
    #[arg(long, default_value_t = 20)]
    examples: u32,
    /// Seed of the random calls: the same seed repeats the same calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Use the programs of the last build
    #[arg(long)]
    no_build: bool,
}

/// Runs it on both documents.
pub async fn run(args: &Args) -> Result<()> {
    if !args.no_build {
        cargo::build(&["--bins"], false).await?;
    }
    let (workdir, _listener) = Workdir::create(&format!("fuzz-{}", std::process::id()), None)?;
    let auth_set = AUTH_SETTINGS.map(str::to_owned).to_vec();
    let gateways = Gateways { nodes: 1, ..Gateways::default() };
    let mut parts = Parts::start(&Start { gateways, auth_set, ..Start::default() }, &workdir).await?;
    let addresses = parts.addresses();
    let mut failed = Vec::new();
    let documents = [
        ("the gateway's API", format!("{}/v1/openapi.json", addresses.gateways[0].internal)),
        ("the auth service", format!("{}/api/openapi.json", addresses.auth)),
    ];
    for (name, document) in documents {
        eprintln!("== {name}: {document}");
        let command = schemathesis(args, &document, &addresses.api_key, &workdir).await?;
        if let Err(error) = cargo::run("schemathesis", command).await {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    let exits = parts.exits();
    parts.stop().await;
    ensure!(exits.is_empty(), "{}", exits.join("\n"));
    ensure!(
        failed.is_empty(),
        "answers differ from the documents of: {}; repeat with --seed {}",
        failed.join(", "),
        args.seed
    );
    Ok(())
}

async fn schemathesis(args: &Args, document: &str, api_key: &str, workdir: &Workdir) -> Result<Command> {
    let folder = paths::root().join("xtask/fuzz");
    let mut command = Command::new(python::programs(REQUIREMENTS).await?.join("schemathesis"));
    command.arg("--no-color").arg("--config-file").arg(folder.join("schemathesis.toml")).args(["run", document]);
    // Draw from the seed only, not from a database that an earlier run left.
    command.args(["--generation-database", "none", "--seed"]).arg(args.seed.to_string());
    command.arg("--max-examples").arg(args.examples.to_string());
    // Leaves nothing behind in the repository.
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&workdir.logs);
    command.env("SCHEMATHESIS_HOOKS", folder.join("checks.py")).env("API_KEY", api_key);
    command.stdout(std::io::stderr());
    Ok(command)
}
