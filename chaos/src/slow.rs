//! `--scenario slow`: one client stops reading its socket while its room gets 50,000 messages.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use serde::Serialize;
use tokio::time::{Instant, sleep};
use xtask_kit::workdir::Workdir;

use super::{
    args::Args,
    assignment::Sizes,
    checker::Rules,
    client::Command,
    crowd::ClientConfig,
    member::Load,
    record::{Join, Observation},
    report::{Report, milliseconds, percentile},
    testbed::Testbed,
};

const MESSAGES: u64 = 50_000;
/// The stuck member is the last.
const SIZES: Sizes = Sizes { rooms: 1, members: 10, senders: 5 };
/// Interval between two messages of each sender: 2,000 messages a second in all.
const EVERY: Duration = Duration::from_micros(2_500);
/// Messages measured before the client is stuck, and again afterwards: variations of the machine must not count against
/// the stuck client.
const BASELINE: u64 = 20_000;
/// Messages before anything is measured, and while the stuck client catches up.
const WARM_UP: u64 = 6_000;
/// A p99 up to this is accepted, however low it was before.
const P99_FLOOR: Duration = Duration::from_millis(5);
const LENGTH: usize = 400;
/// Most that the gateway's memory may grow, in KiB.
const GROWTH: u64 = 64 * 1024;
/// Longest time for each of the waits for messages.
const LIMIT: Duration = Duration::from_secs(300);
/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

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

/// Runs the scenario.
pub async fn run(args: &Args, seed: u64, workdir: &Workdir) -> Result<()> {
    let stuck = SIZES.members - 1;
    let load = Load { window: 64, every: Some(EVERY), length: LENGTH };
    let clients = ClientConfig { sizes: SIZES, load, seed, stuck: Some(stuck), checks_presence: false };
    let node = stuck % args.nodes;
    let mut testbed = Testbed::start(args, &clients, workdir).await?;
    let cpu_before = cpu_ticks();
    testbed.crowd.start_sending();
    let mut without = baseline(&mut testbed, 0, node).await?;
    let before = testbed.fleet.memory(node)?;
    testbed.crowd.commands[stuck].try_send(Command::StopReading)?;
    let max = until_sent(&mut testbed, WARM_UP + BASELINE + MESSAGES, node).await?.max(before);
    let mut with = testbed.crowd.shared.take_latency();
    testbed.crowd.commands[stuck].try_send(Command::ReadAgain)?;
    without.extend(baseline(&mut testbed, WARM_UP + BASELINE + MESSAGES, node).await?);
    let unfinished = testbed.settle().await?;
    let shared = testbed.stop().await;
    let stuck = summary(&shared.rooms[0].lock().traces[stuck].entries);
    let rules = Rules { kept: args.kept, ..Rules::default() };
    let report = Report::of(&shared, &rules, &[], seed, unfinished);
    let [p99_without, p99_with] = [&mut without, &mut with].map(|latency| percentile(latency, 99));
    let outcome = Outcome {
        rss_before_kib: before,
        rss_max_kib: max,
        p99_without_ms: milliseconds(p99_without),
        p99_with_ms: milliseconds(p99_with),
        stuck,
        report: &report,
    };
    // Of a virtual machine: a p99 says nothing about the gateway if other machines took the processor meanwhile.
    let stolen = match (cpu_before, cpu_ticks()) {
        (Some(before), Some(after)) => 100 * (after.0 - before.0) / (after.1 - before.1).max(1),
        _ => 0,
    };
    let p99s = format!(
        "{:.1} ms without a stuck client, {:.1} ms with one; {stolen} % of the CPU time was stolen",
        outcome.p99_without_ms, outcome.p99_with_ms
    );
    if args.json {
        println!("{}", serde_json::to_string(&outcome)?);
    } else {
        println!("{report}");
        println!("memory of gw{}: {before} KiB before, at most {max} KiB", node + 1);
        println!("p99 of the others: {p99s}");
        println!("stuck client: {}", outcome.stuck);
    }
    report.details.iter().for_each(|detail| eprintln!("{detail}"));
    ensure!(report.is_clean(), "a client missed messages, or did not catch up ({:?})", report.unfinished);
    ensure!(max - before <= GROWTH, "the memory of the gateway grew by {} KiB", max - before);
    ensure!(p99_with <= (2 * p99_without).max(P99_FLOOR), "p99 of the others more than doubled: {p99s}");
    Ok(())
}

/// Measures the latencies of [`BASELINE`] messages, after a warm-up; that many were sent before.
async fn baseline(testbed: &mut Testbed, sent: u64, node: usize) -> Result<Vec<Duration>> {
    until_sent(testbed, sent + WARM_UP, node).await?;
    drop(testbed.crowd.shared.take_latency());
    until_sent(testbed, sent + WARM_UP + BASELINE, node).await?;
    Ok(testbed.crowd.shared.take_latency())
}

/// Waits until that many messages are acknowledged in all; returns the node's highest memory, in KiB.
async fn until_sent(testbed: &mut Testbed, count: u64, node: usize) -> Result<u64> {
    let deadline = Instant::now() + LIMIT;
    let mut most = 0;
    while testbed.crowd.shared.figures.lock().acked < count {
        testbed.fleet.check()?;
        ensure!(Instant::now() < deadline, "{count} messages took too long");
        most = most.max(testbed.fleet.memory(node)?);
        sleep(CHECK_INTERVAL).await;
    }
    Ok(most)
}

/// The processors' ticks since boot that a hypervisor gave to others, and all of them; none outside Linux.
fn cpu_ticks() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|tick| tick.parse().ok()).collect();
    // The last two are guests' shares of the first two.
    Some((*ticks.get(7)?, ticks.iter().take(8).sum()))
}

/// Summary of the stuck client's trace.
fn summary(entries: &[super::record::Entry]) -> String {
    let count = |wanted: fn(&Observation) -> bool| entries.iter().filter(|entry| wanted(&entry.observation)).count();
    let messages = count(|seen| matches!(seen, Observation::Page(_) | Observation::Live(_)));
    let away = count(|seen| matches!(seen, Observation::Disconnected));
    let recovered = count(|seen| *seen == Observation::Joined(Join::Recovered));
    let not_recovered = count(|seen| *seen == Observation::Joined(Join::NotRecovered));
    let resets = count(|seen| matches!(seen, Observation::Reset(_)));
    format!(
        "{messages} messages, {away} disconnects, {recovered} reconnects with recovered:true, \
         {not_recovered} with recovered:false, {resets} room-resets"
    )
}
