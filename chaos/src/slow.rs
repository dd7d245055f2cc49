//! `--scenario slow`: one client stops reading its socket while its room gets 50,000 messages.

use std::{sync::atomic::Ordering, time::Duration};

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
    report::{Report, milliseconds},
    testbed::Testbed,
};

const MESSAGES: u64 = 50_000;
/// Members, including the stuck one, which is the last.
const MEMBERS: usize = 10;
const SENDERS: usize = 5;
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
    let stuck = MEMBERS - 1;
    let clients = ClientConfig {
        sizes: Sizes { rooms: 1, members: MEMBERS, senders: SENDERS },
        load: Load { window: 64, every: Some(EVERY), length: LENGTH },
        seed,
        stuck: &[stuck],
        checks_presence: false,
    };
    let node = stuck % args.nodes;
    let mut testbed = Testbed::start(&args.servers(), &clients, workdir).await?;
    testbed.crowd.start_sending();
    let mut sent = 0;
    let mut after = |more: u64| {
        sent += more;
        sent
    };
    until_sent(&mut testbed, after(WARM_UP), node).await?;
    drop(testbed.crowd.shared.take_latency());
    until_sent(&mut testbed, after(BASELINE), node).await?;
    let mut without = testbed.crowd.shared.take_latency();
    let before = testbed.fleet.memory(node)?;
    testbed.crowd.commands[stuck].try_send(Command::StopReading)?;
    let max = until_sent(&mut testbed, after(MESSAGES), node).await?.max(before);
    let with = testbed.crowd.shared.take_latency();
    testbed.crowd.commands[stuck].try_send(Command::ReadAgain)?;
    until_sent(&mut testbed, after(WARM_UP), node).await?;
    drop(testbed.crowd.shared.take_latency());
    until_sent(&mut testbed, after(BASELINE), node).await?;
    without.merge(&testbed.crowd.shared.take_latency());
    let unfinished = testbed.settle().await?;
    let shared = testbed.stop().await;
    let stuck = summary(&shared.rooms[0].lock().traces[stuck].entries);
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
        println!("memory of gw{}: {before} KiB before, at most {max} KiB", node + 1);
        println!(
            "p99 of the others: {:.1} ms without a stuck client, {:.1} ms with one",
            outcome.p99_without_ms, outcome.p99_with_ms
        );
        println!("stuck client: {}", outcome.stuck);
    }
    report.details().iter().for_each(|detail| eprintln!("{detail}"));
    ensure!(report.is_clean(), "a client missed messages, or did not catch up ({:?})", report.unfinished);
    ensure!(max - before <= GROWTH, "the memory of the gateway grew by {} KiB", max - before);
    ensure!(
        p99_with <= (2 * p99_without).max(P99_FLOOR),
        "p99 of the others more than doubled: {:.1} ms without a stuck client, {:.1} ms with one",
        outcome.p99_without_ms,
        outcome.p99_with_ms
    );
    Ok(())
}

/// Waits until that many messages are acknowledged in all; returns the node's highest memory, in KiB.
async fn until_sent(testbed: &mut Testbed, count: u64, node: usize) -> Result<u64> {
    let deadline = Instant::now() + LIMIT;
    let mut most = 0;
    while testbed.crowd.shared.figures.acked.load(Ordering::Relaxed) < count {
        testbed.check_servers()?;
        ensure!(Instant::now() < deadline, "{count} messages took too long");
        most = most.max(testbed.fleet.memory(node)?);
        sleep(CHECK_INTERVAL).await;
    }
    Ok(most)
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
