//! `cargo xtask chaos`: many senders while one thing after another breaks.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use tokio::time::{Instant, sleep_until};
use xtask_kit::workdir::Workdir;

use super::{
    args::Args,
    checker::Rules,
    crowd,
    fault::{self, Fault, Kind},
    report::{Report, Suffered, conclude},
    stage::Stage,
};

/// Runs it.
pub async fn run(args: &Args, seed: u64, workdir: &Workdir) -> Result<()> {
    let time = args.time();
    let plan = fault::plan(seed, args.faults(), args.nodes, time, args.tempo());
    let left_out = |kind: &&Kind| !plan.iter().any(|fault| fault.kind == **kind);
    let left_out: Vec<&Kind> = args.faults().iter().filter(left_out).collect();
    if !left_out.is_empty() {
        eprintln!("no time within {} s for {left_out:?}", time.as_secs());
    }
    let kind = crowd::Kind { sizes: args.sizes(), load: args.load(), seed, stuck: &[], checks_presence: false };
    let mut stage = Stage::set(&args.wanted(), &kind, workdir).await?;
    let begun = Instant::now();
    stage.crowd.begin();
    let mut suffered = Vec::new();
    let mut free = begun;
    for fault in &plan {
        // A fault that takes longer than planned delays the rest of the plan and the end: same seed, same faults.
        sleep_until(free.max(begun + fault.at)).await;
        suffered.push(suffer(&mut stage, fault).await?);
        stage.alive()?;
        free = Instant::now() + Duration::from_secs(1);
    }
    sleep_until((begun + time).max(free + args.tempo().after())).await;
    let stopped = Instant::now();
    let unfinished = stage.settle().await?;
    eprintln!("at rest {:.1} s after the senders stopped", stopped.elapsed().as_secs_f64());
    let shared = stage.strike().await;
    let rules = Rules { kept: args.kept, kept_data: !args.faults().contains(&Kind::Wipe), ..Rules::default() };
    let report = Report::of(&shared, &rules, &suffered, seed, unfinished);
    conclude(&report, args.json, &args.again(seed))?;
    if args.rate() == 0 {
        // At full speed a node that was away may have missed more than a room keeps, and needs long to catch up.
        return Ok(());
    }
    ensure!(
        report.true_resets == 0,
        "{} resets: members missed more than the {} messages that a room keeps; slow the senders down (--rate)",
        report.true_resets,
        args.kept
    );
    let again = args.tempo().again().as_secs_f64();
    let late = report.faults.iter().find(|fault| fault.is_of_redis && fault.everybody.is_none_or(|time| time > again));
    if let Some(late) = late {
        bail!("{}: not everybody had a delivery within {again} s; again with {}", late.fault, args.again(seed));
    }
    Ok(())
}

async fn suffer(stage: &mut Stage, fault: &Fault) -> Result<Suffered> {
    let from_ms = stage.crowd.shared.now_ms();
    eprintln!("{:6.1} s {fault}", f64::from(from_ms) / 1_000.0);
    stage.fleet.suffer(fault).await?;
    // A killed gateway is gone at once: its members can be elsewhere long before it is back.
    let lasting = !matches!(fault.kind, Kind::Kill);
    let to_ms = if lasting { stage.crowd.shared.now_ms() } else { from_ms };
    Ok(Suffered { fault: *fault, from_ms, to_ms })
}
