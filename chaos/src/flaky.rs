//! `--scenario flaky`: many clients that lose their TCP connection at random, for 1 to 5 s.

use std::time::Duration;

use anyhow::Result;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, MissedTickBehavior, interval};
use xtask_kit::workdir::Workdir;

use super::{
    args::Args,
    cast::Sizes,
    checker::Rules,
    client::Command,
    crowd,
    member::Load,
    report::{Report, conclude},
    stage::Stage,
};

const MEMBERS: usize = 1_000;
const ROOMS: usize = 20;
const SENDERS: usize = 40;
/// Interval between two messages of each sender.
const EVERY: Duration = Duration::from_millis(200);
/// Shortest and longest time offline, in milliseconds.
const AWAY: (u64, u64) = (1_000, 5_000);
/// Interval between two losses in the whole crowd: each client is drawn every 8 s on average.
const BETWEEN: Duration = Duration::from_millis(8);

/// Runs it.
pub async fn run(args: &Args, seed: u64, workdir: &Workdir) -> Result<()> {
    let kind = crowd::Kind {
        sizes: Sizes { rooms: ROOMS, members: MEMBERS, senders: SENDERS },
        load: Load { window: args.window, every: Some(EVERY), length: args.length },
        seed,
        stuck: &[],
        checks_presence: false,
    };
    let mut stage = Stage::set(&args.wanted(), &kind, workdir).await?;
    stage.crowd.begin();
    let end = Instant::now() + args.time();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut losses = interval(BETWEEN);
    losses.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut unplugged = 0u64;
    while Instant::now() < end {
        losses.tick().await;
        let member = rng.random_range(0..stage.crowd.commands.len());
        let away = Duration::from_millis(rng.random_range(AWAY.0..=AWAY.1));
        // An offline client discards the command when it reconnects, but counts here while its channel has room.
        unplugged += u64::from(stage.crowd.commands[member].try_send(Command::Unplug(away)).is_ok());
    }
    eprintln!("{unplugged} times a connection was to be lost");
    let unfinished = stage.settle().await?;
    let shared = stage.strike().await;
    let rules = Rules { kept: args.kept, ..Rules::default() };
    conclude(&Report::of(&shared, &rules, &[], seed, unfinished), args.json, &args.again(seed))
}
