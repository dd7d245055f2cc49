//! `--scenario flaky`: many clients that lose their TCP connection at random, for 1 to 5 s.

use std::time::Duration;

use anyhow::Result;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, MissedTickBehavior, interval};
use xtask_kit::workdir::Workdir;

use super::{
    args::Args,
    assignment::Sizes,
    checker::Rules,
    client::Command,
    crowd::ClientConfig,
    member::Load,
    report::{Report, conclude},
    testbed::Testbed,
};

const SIZES: Sizes = Sizes { rooms: 20, members: 1_000, senders: 40 };
/// Interval between two messages of each sender.
const EVERY: Duration = Duration::from_millis(200);
/// Shortest and longest time offline, in milliseconds.
const AWAY: (u64, u64) = (1_000, 5_000);
/// Interval between two losses in the whole crowd: each client is drawn every 8 s on average, and loses its connection
/// if it is online then.
const BETWEEN: Duration = Duration::from_millis(8);

/// Runs the scenario.
pub async fn run(args: &Args, seed: u64, workdir: &Workdir) -> Result<()> {
    let load = Load { window: args.window, every: Some(EVERY), length: args.length };
    let clients = ClientConfig { sizes: SIZES, load, seed, ..ClientConfig::default() };
    let mut testbed = Testbed::start(args, &clients, workdir).await?;
    testbed.crowd.start_sending();
    let end = Instant::now() + args.time();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut losses = interval(BETWEEN);
    losses.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while Instant::now() < end {
        losses.tick().await;
        let member = rng.random_range(0..testbed.crowd.commands.len());
        let away = Duration::from_millis(rng.random_range(AWAY.0..=AWAY.1));
        // A client that is offline already discards the command when it reconnects, or has a full channel.
        let _ = testbed.crowd.commands[member].try_send(Command::Unplug(away));
    }
    let unfinished = testbed.settle().await?;
    let dropped = testbed.crowd.shared.figures.lock().unplugged;
    eprintln!("dropped {dropped} connections of online clients, each for {} to {} ms", AWAY.0, AWAY.1);
    let shared = testbed.stop().await;
    let rules = Rules { kept: args.kept, ..Rules::default() };
    conclude(&Report::of(&shared, &rules, &[], seed, unfinished), args.json, &args.again(seed))
}
