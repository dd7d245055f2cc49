//! `cargo xtask chaos`: senders at full speed while one thing after another breaks.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Args,
    checker::Rules,
    fault::{self, Fault, Kind},
    report::{Report, Suffered, conclude},
    stage::{Setting, Stage},
};
use crate::workdir::Workdir;

/// Runs it.
pub async fn run(args: &Args, seed: u64, workdir: &Workdir) -> Result<()> {
    let time = Duration::from_secs(args.seconds);
    let plan = fault::plan(seed, args.faults(), args.nodes, time);
    let left_out = |kind: &&Kind| !plan.iter().any(|fault| fault.kind == **kind);
    let left_out: Vec<&Kind> = args.faults().iter().filter(left_out).collect();
    if !left_out.is_empty() {
        eprintln!("no time within {} s for {left_out:?}", args.seconds);
    }
    let setting = Setting {
        nodes: args.nodes,
        release: args.release,
        set: args.settings(),
        sizes: args.sizes(),
        load: args.load(),
        seed,
        stuck: &[],
    };
    let mut stage = Stage::set(&setting, workdir).await?;
    eprintln!("{} members are in; senders begin", args.members);
    let begun = Instant::now();
    stage.begin();
    let mut suffered = Vec::new();
    for fault in &plan {
        sleep_until(begun + fault.at).await;
        suffered.push(suffer(&mut stage, fault).await?);
        stage.alive()?;
        // Faults that took longer than planned must not leave the last one without time after it.
        if begun.elapsed() + fault::AFTER > time {
            eprintln!("faults took longer than planned: {} of {} carried out", suffered.len(), plan.len());
            break;
        }
    }
    sleep_until(begun + time).await;
    let unfinished = stage.settle().await?;
    eprintln!("all at rest {:.1} s after the senders stopped", (begun.elapsed() - time).as_secs_f64());
    let shared = stage.strike().await;
    let rules = Rules { kept: args.kept, kept_data: !args.faults().contains(&Kind::Wipe), ..Rules::default() };
    conclude(&Report::of(&shared, &rules, &suffered, seed, unfinished), args.json)
}

async fn suffer(stage: &mut Stage, fault: &Fault) -> Result<Suffered> {
    let from_ms = stage.shared.now_ms();
    eprintln!("{:6.1} s {fault}", f64::from(from_ms) / 1_000.0);
    stage.fleet.suffer(fault).await?;
    // Whoever is killed is gone at once: its members can be elsewhere long before it is back.
    let lasting = !matches!(fault.kind, Kind::Kill);
    let to_ms = if lasting { stage.shared.now_ms() } else { from_ms };
    sleep(Duration::from_millis(100)).await;
    Ok(Suffered { fault: *fault, from_ms, to_ms })
}
