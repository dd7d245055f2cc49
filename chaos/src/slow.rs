//! `--scenario slow`: one client stops reading its socket while its room gets 50,000 messages.

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::{Result, ensure};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use xtask_kit::workdir::Workdir;

use super::{
    args::Args,
    cast::Sizes,
    checker::Rules,
    client::Command,
    crowd,
    member::Load,
    record::{Join, What},
    report::{Report, milliseconds},
    stage::Stage,
};

const MESSAGES: u64 = 50_000;
/// Members, including the stuck one, which is the last.
const MEMBERS: usize = 10;
const SENDERS: usize = 5;
/// Interval between two messages of each sender: 2,000 messages a second in all.
const EVERY: Duration = Duration::from_micros(2_500);
/// Messages measured before the client is stuck, and again afterwards: the machine's own variations must not count
/// against the stuck client.
const ASIDE: u64 = 20_000;
/// Messages before anything is measured, and while the stuck client catches up.
const PAUSE: u64 = 6_000;
/// A p99 up to this is accepted, however low it was before.
const UNFELT: Duration = Duration::from_millis(5);
const LENGTH: usize = 400;
/// Most that the gateway's memory may grow, in KiB.
const GROWTH: u64 = 64 * 1024;
/// Longest time for each of the waits for messages.
const LIMIT: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(50);

/// Result of the scenario.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    rss_before_kib: u64,
    rss_max_kib: u64,
    p99_without_ms: f64,
    p99_with_ms: f64,
    stuck: String,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs it.
pub async fn run(args: &Args, seed: u64, workdir: &Workdir) -> Result<()> {
    let stuck = MEMBERS - 1;
    let kind = crowd::Kind {
        sizes: Sizes { rooms: 1, members: MEMBERS, senders: SENDERS },
        load: Load { window: 64, every: Some(EVERY), length: LENGTH },
        seed,
        stuck: &[stuck],
        checks_presence: false,
    };
    let node = stuck % args.nodes;
    let mut stage = Stage::set(&args.wanted(), &kind, workdir).await?;
    stage.crowd.begin();
    let mut sent = 0;
    let mut after = |more: u64| {
        sent += more;
        sent
    };
    until_sent(&mut stage, after(PAUSE), node).await?;
    drop(stage.crowd.shared.take_latency());
    until_sent(&mut stage, after(ASIDE), node).await?;
    let mut without = stage.crowd.shared.take_latency();
    let before = stage.fleet.memory(node)?;
    stage.crowd.commands[stuck].try_send(Command::StopReading)?;
    let max = until_sent(&mut stage, after(MESSAGES), node).await?.max(before);
    let with = stage.crowd.shared.take_latency();
    stage.crowd.commands[stuck].try_send(Command::ReadAgain)?;
    until_sent(&mut stage, after(PAUSE), node).await?;
    drop(stage.crowd.shared.take_latency());
    until_sent(&mut stage, after(ASIDE), node).await?;
    without.merge(&stage.crowd.shared.take_latency());
    let unfinished = stage.settle().await?;
    let shared = stage.strike().await;
    let stuck = ending(&shared.rooms[0].lock().traces[stuck].entries);
    let rules = Rules { kept: args.kept, ..Rules::default() };
    let report = Report::of(&shared, &rules, &[], seed, unfinished);
    let [p99_without, p99_with] = [without, with].map(|latency| latency.permille(990));
    let outcome = Outcome {
        rss_before_kib: before,
        rss_max_kib: max,
        p99_without_ms: milliseconds(p99_without),
        p99_with_ms: milliseconds(p99_with),
        stuck,
        report: &report,
    };
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        println!("{report}");
        println!("memory of gw{}: {before} KiB before, {max} KiB at most", node + 1);
        println!("p99 of the others: {:.1} ms, then {:.1} ms", outcome.p99_without_ms, outcome.p99_with_ms);
        println!("the stuck client: {}", outcome.stuck);
    }
    report.details().iter().for_each(|detail| eprintln!("{detail}"));
    ensure!(report.is_clean(), "the stuck client, or another, ended with a hole ({:?})", report.unfinished);
    ensure!(max - before <= GROWTH, "the gateway grew by {} KiB", max - before);
    ensure!(
        p99_with <= (2 * p99_without).max(UNFELT),
        "the others' p99 more than doubled: {:.1} ms, then {:.1} ms",
        outcome.p99_without_ms,
        outcome.p99_with_ms
    );
    Ok(())
}

/// Waits until that many messages are acknowledged in all; returns the node's highest memory, in KiB.
async fn until_sent(stage: &mut Stage, count: u64, node: usize) -> Result<u64> {
    let deadline = Instant::now() + LIMIT;
    let mut most = 0;
    while stage.crowd.shared.figures.acked.load(Ordering::Relaxed) < count {
        stage.alive()?;
        ensure!(Instant::now() < deadline, "{count} messages take too long");
        most = most.max(stage.fleet.memory(node)?);
        sleep(LOOK).await;
    }
    Ok(most)
}

/// Summary of the stuck client's trace.
fn ending(entries: &[super::record::Entry]) -> String {
    let count = |wanted: fn(&What) -> bool| entries.iter().filter(|entry| wanted(&entry.what)).count();
    let messages = count(|what| matches!(what, What::Page(_) | What::Live(_)));
    let away = count(|what| matches!(what, What::Away));
    let back = count(|what| *what == What::Joined(Join::Recovered));
    let reset = count(|what| *what == What::Joined(Join::NotRecovered));
    let told = count(|what| matches!(what, What::Reset(_)));
    format!(
        "{messages} messages, {away} times disconnected, {back} times back with recovered:true, \
         {reset} times with recovered:false, {told} room-resets"
    )
}
