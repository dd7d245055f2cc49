//! `cargo xtask test`: all tests in one command. Every step runs even if others fail, unless it needs the result of one
//! that failed; a report on all steps follows.
//!
//! - [`work`]: the work of each step
//! - [`step`]: runs one
//! - [`counts`], [`report`]: its result
//!
//! This file has their order. Steps that mostly wait run in parallel; steps that measure times run alone.

mod counts;
mod report;
mod step;
mod work;

use std::{process::ExitCode, time::Instant};

use anyhow::Result;
use clap::ValueEnum;
use xtask_kit::servers::redis::topology::{Kind as Redis, Setup};

pub use report::Report;
use report::{Line, Outcome};
pub use step::{Kind, OutputMode, run as step};

use crate::{install, k8s, node_packages, rules};

#[derive(clap::Args)]
pub struct Args {
    /// Run only tests whose names contain this
    filter: Option<String>,
    /// Run one step only
    #[arg(long)]
    only: Option<Step>,
}

/// A step that can run alone.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Unit, property, contract and integration tests
    Cargo,
    /// The contracts over one Redis with TLS and a user
    RedisTls,
    /// The contracts over a master that sentinels watch, with TLS and users
    RedisSentinel,
    /// The contracts over three Redis
    RedisSeveral,
    /// The contracts over a Redis Cluster, with TLS and a user
    RedisCluster,
    /// The contracts over Valkey
    RedisValkey,
    /// The Kubernetes overlays
    K8s,
    /// The rules of Prometheus
    Rules,
    /// The library of the load tests
    LoadLibrary,
    /// Stock clients against a cluster
    E2e,
    /// Those about the protocol once more, with the other engine
    E2eOxide,
    /// Both HTTP interfaces against their documents
    Fuzz,
    /// Lost messages while gateways, Redis and connections fail
    Chaos,
    /// A short form of every load scenario
    Load,
    /// A second of one scenario of the benchmark
    Bench,
    /// A small crowd whose gateways are killed
    Storm,
}

impl Step {
    /// Its name, as `--only` takes it.
    fn name(self) -> String {
        self.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
    }
}

/// Steps that need no build of the workspace.
const WITHOUT_BUILD: [Step; 3] = [Step::K8s, Step::Rules, Step::LoadLibrary];

/// The contracts once more, over each kind of Redis but the single one, which [`Step::Cargo`] has, and with it Sentinel and
/// a Redis Cluster without TLS, in tests that start servers themselves.
const CONTRACTS: [(Step, Setup); 5] = [
    (Step::RedisTls, Setup { kind: Redis::Tls, tls: true }),
    (Step::RedisSentinel, Setup { kind: Redis::Sentinel, tls: true }),
    (Step::RedisSeveral, Setup { kind: Redis::Several, tls: false }),
    (Step::RedisCluster, Setup { kind: Redis::Cluster, tls: true }),
    (Step::RedisValkey, Setup { kind: Redis::Valkey, tls: false }),
];

impl Args {
    fn wants(&self, step: Step) -> bool {
        match (self.only, self.filter.as_deref()) {
            (Some(only), _) => only == step,
            (None, Some(filter)) => matches!(step, Step::Cargo | Step::E2e) || filter == step.name(),
            (None, None) => true,
        }
    }

    /// Runs a step, if it was requested and nothing that it needs has failed.
    async fn test(
        &self,
        step: Step,
        needs: &[&Line],
        mode: OutputMode,
        work: impl Future<Output = Result<()>>,
    ) -> Line {
        let missing = needs.iter().find(|line| !matches!(line.outcome, Outcome::Passed | Outcome::Skipped));
        match missing {
            _ if !self.wants(step) => Line::skipped(&step.name(), Outcome::Skipped),
            Some(line) => Line::skipped(&step.name(), Outcome::NotRun(line.name.clone())),
            None => self::step(&step.name(), Kind::Tests, mode, work).await,
        }
    }
}

/// Runs the requested steps; fails if one of them does.
pub async fn run(args: &Args) -> Result<ExitCode> {
    let begun = Instant::now();
    let filter = args.filter.as_deref();

    // The gateway's build embeds the browser client.
    let client = async {
        install::node().await?;
        node_packages::install("gateway/client").await
    };
    let client = step("browser-client", Kind::Preparation, OutputMode::Live, client).await;

    let build = async {
        match client.outcome {
            _ if !Step::value_variants().iter().any(|step| !WITHOUT_BUILD.contains(step) && args.wants(*step)) => {
                Line::skipped("build", Outcome::Skipped)
            }
            Outcome::Passed => step("build", Kind::Preparation, OutputMode::Live, work::build()).await,
            _ => Line::skipped("build", Outcome::NotRun(client.name.clone())),
        }
    };
    // Downloads, and short steps.
    let meanwhile = async {
        let buffered = OutputMode::Buffered;
        let install = async {
            install::servers().await?;
            install::valkey::try_install().await
        };
        let servers = step("servers", Kind::Preparation, buffered, install).await;
        let packages = step("packages", Kind::Preparation, buffered, install::packages()).await;
        let k8s = args.test(Step::K8s, &[&packages], buffered, k8s::test()).await;
        let rules = args.test(Step::Rules, &[&servers], buffered, rules::test()).await;
        let library = args.test(Step::LoadLibrary, &[&client], buffered, work::load_library()).await;
        (servers, packages, k8s, rules, library)
    };
    let (build, (servers, packages, k8s, rules, library)) = tokio::join!(build, meanwhile);

    let needs = [&build, &servers, &packages];
    let beside =
        if args.wants(Step::E2e) || args.wants(Step::E2eOxide) { OutputMode::Buffered } else { OutputMode::Live };
    let over_redis = async |step: Step, redis: Setup| {
        if redis.kind == Redis::Valkey && !install::valkey::is_present() && install::valkey::may_be_missing() {
            return Line::skipped(&step.name(), Outcome::Missing("Valkey cannot be installed"));
        }
        // The step's own name chooses all of its tests.
        let filter = filter.filter(|filter| *filter != step.name());
        args.test(step, &[&build, &servers], beside, work::contracts(redis, filter)).await
    };
    let others = async {
        let cargo = args.test(Step::Cargo, &[&build, &servers], beside, work::cargo_tests(filter)).await;
        let mut contracts = Vec::new();
        for (step, redis) in CONTRACTS {
            contracts.push(over_redis(step, redis).await);
        }
        let fuzz = args.test(Step::Fuzz, &needs, beside, work::command(&["fuzz", "--no-build"])).await;
        let chaos = work::command(&["chaos", "--short", "--no-build"]);
        let chaos = args.test(Step::Chaos, &[&build, &servers], beside, chaos).await;
        let bench = ["bench", "--quick", "--debug", "--no-build", "--peer", "jackfield", "--scenario", "echo"];
        let bench = args.test(Step::Bench, &[&build, &servers], beside, work::command(&bench)).await;
        let storm = ["storm", "--debug", "--no-build", "--clients", "300", "--witnesses", "10", "--room-size", "20"];
        let storm = args.test(Step::Storm, &[&build, &servers], beside, work::command(&storm)).await;
        (cargo, contracts, fuzz, chaos, bench, storm)
    };
    let clients = async {
        let e2e = args.test(Step::E2e, &needs, OutputMode::Live, work::end_to_end(filter)).await;
        let oxide = args.test(Step::E2eOxide, &needs, OutputMode::Live, work::end_to_end_with_oxide()).await;
        (e2e, oxide)
    };
    let ((e2e, oxide), (cargo, contracts, fuzz, chaos, bench, storm)) = tokio::join!(clients, others);
    // Runs alone, because its thresholds are times. The short form tests that scenarios work, not their speed.
    let load = work::command(&["load", "all", "--short", "--no-build"]);
    let load = args.test(Step::Load, &needs, OutputMode::Live, load).await;

    let first = [client, servers, packages, build, k8s, rules, library, cargo];
    let last = [e2e, oxide, fuzz, chaos, bench, storm, load];
    let lines = first.into_iter().chain(contracts).chain(last).collect();
    Ok(Report { lines, seconds: begun.elapsed().as_secs_f64() }.conclude())
}
