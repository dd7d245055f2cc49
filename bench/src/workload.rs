//! The clients' work in a run.
//!
//! - [`quiet`]: they connect, and are idle
//! - [`echo`]: each asks for the same text back
//! - [`rooms`]: senders send to rooms, in a closed loop or at a fixed rate
//!
//! Echo over HTTP long-polling has clients of its own: [`polling`](crate::polling).

pub mod echo;
pub mod quiet;
pub mod rooms;

use anyhow::{Result, bail, ensure};

use crate::{
    args::{Args, Kind},
    clock::{SECOND, nanoseconds, now},
    crowd::Crowd,
    dialect::Dialect,
    layout::Layout,
    outcome::Outcome,
    polling, token,
    usage::Usage,
};

/// The longest wait at the end.
const DRAIN_LIMIT: u64 = 120 * SECOND;

/// Runs the workload that the options name.
pub fn run(args: &Args) -> Result<Outcome> {
    let socketio = args.dialect == Dialect::Socketio;
    ensure!(socketio || !matches!(args.kind, Kind::Echo | Kind::Polling), "only Socket.IO has that");
    match args.kind {
        Kind::Connects => quiet::connects(args),
        Kind::Idle => quiet::idle(args),
        Kind::Echo => echo::run(args),
        Kind::Polling => polling::run(args),
        Kind::Rooms => rooms::run(args),
        Kind::Storm => bail!("a storm has figures of its own"),
    }
}

/// The clients of a run, not connected yet.
fn crowd(args: &Args) -> Result<Crowd> {
    let layout = Layout::new(args.sockets, args.room_size, args.senders);
    Crowd::new(args.dialect, &args.targets, token::signed(args.sockets, &args.secret)?, layout)
}

/// Clients with something to do.
pub trait Work {
    /// Does what is due. Returns when to call it again.
    fn tick(&mut self, now: u64) -> u64;
    /// Handles what arrives, until `until` at most.
    fn turn(&mut self, until: u64) -> Result<()>;
    /// Counts from now on, or not any more.
    fn count(&mut self, on: bool);
    /// Begins nothing new from now on. Returns how much is still under way.
    fn finish(&mut self) -> u64;
}

/// Warms up, measures, and waits for what is under way at the end.
pub fn measure(args: &Args, work: &mut impl Work) -> Result<Usage> {
    let start = now() + nanoseconds(args.warmup);
    work_until(start, work)?;
    let before = args.probe().sample()?;
    work.count(true);
    work_until(start + nanoseconds(args.duration), work)?;
    work.count(false);
    let usage = before.until(&args.probe().sample()?);
    drain(args, work)?;
    Ok(usage)
}

/// Waits for what is under way. A server that is overloaded is late, and loses nothing: wait as long as something arrives.
fn drain(args: &Args, work: &mut impl Work) -> Result<()> {
    let limit = now() + DRAIN_LIMIT;
    let mut patience = now() + nanoseconds(args.drain);
    let mut left = work.finish();
    while left > 0 && now() < patience.min(limit) {
        work.turn(now() + SECOND / 20)?;
        let rest = work.finish();
        if rest < left {
            left = rest;
            patience = now() + nanoseconds(args.drain);
        }
    }
    Ok(())
}

fn work_until(end: u64, work: &mut impl Work) -> Result<()> {
    loop {
        let now = now();
        if now >= end {
            return Ok(());
        }
        let next = work.tick(now);
        work.turn(next.min(end))?;
    }
}
