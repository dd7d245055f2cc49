//! The default scenario: many senders while one fault follows another.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep_until};
use xtask_kit::workdir::Workdir;

use super::{
    args::Args,
    crowd::ClientConfig,
    fault::{self, Fault, Kind},
    report::{Injected, Recovery, Report, conclude},
    testbed::Testbed,
};

/// Runs the scenario.
pub async fn run(args: &Args, seed: u64, workdir: &Workdir) -> Result<()> {
    let time = args.time();
    let kinds = args.faults();
    let plan = fault::plan(seed, &kinds, args.redis, args.nodes, time, args.tempo());
    let left_out = |kind: &&Kind| !plan.iter().any(|fault| fault.kind == **kind);
    let left_out: Vec<&Kind> = kinds.iter().filter(left_out).collect();
    if !left_out.is_empty() {
        eprintln!("{} s are too short for {left_out:?}: not injected", time.as_secs());
    }
    let clients = ClientConfig { sizes: args.sizes(), load: args.load(), seed, ..ClientConfig::default() };
    let mut testbed = Testbed::start(args, &clients, workdir).await?;
    let begun = Instant::now();
    testbed.crowd.start_sending();
    let mut injected = Vec::new();
    let mut free = begun;
    for fault in &plan {
        // A fault that takes longer than planned delays the rest of the plan and the end: same seed, same faults.
        sleep_until(free.max(begun + fault.at)).await;
        injected.push(inject(&mut testbed, fault).await?);
        testbed.fleet.check()?;
        free = Instant::now() + Duration::from_secs(1);
    }
    sleep_until((begun + time).max(free + args.tempo().after())).await;
    let stopped = Instant::now();
    let unfinished = testbed.settle().await?;
    eprintln!("settled {:.1} s after the senders stopped", stopped.elapsed().as_secs_f64());
    let shared = testbed.stop().await;
    let report = Report::of(&shared, &args.rules(), &injected, seed, unfinished);
    let again = args.again(seed);
    conclude(&report, args.json, &again)?;
    if args.rate() == 0 {
        // At full speed a node that was away may have missed more than a room keeps, and needs long to catch up.
        return Ok(());
    }
    ensure!(
        report.justified_resets == 0,
        "{} resets: members missed more than the {} messages that a room keeps; lower --rate",
        report.justified_resets,
        args.kept
    );
    let limit = args.tempo().recovery_limit().as_secs_f64();
    for Recovery { fault, all_members, .. } in report.faults.iter().filter(|fault| fault.must_recover_in_time) {
        let in_time = all_members.is_some_and(|time| time <= limit);
        ensure!(in_time, "{fault}: a member had no delivery within {limit} s; repeat with {again}");
    }
    Ok(())
}

async fn inject(testbed: &mut Testbed, fault: &Fault) -> Result<Injected> {
    let from_ms = testbed.crowd.shared.now_ms();
    eprintln!("{:6.1} s {fault}", f64::from(from_ms) / 1_000.0);
    let over = testbed.fleet.inject(fault).await?;
    let ago = u32::try_from(over.elapsed().as_millis()).unwrap_or(u32::MAX);
    let to_ms = testbed.crowd.shared.now_ms().saturating_sub(ago).max(from_ms);
    Ok(Injected { fault: *fault, from_ms, to_ms })
}
