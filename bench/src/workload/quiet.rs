//! Clients that only connect: what does a connect cost, and what an idle socket?

use anyhow::{Result, ensure};

use super::crowd;
use crate::{
    args::Args,
    clock::{SECOND, nanoseconds, now},
    crowd::Silent,
    outcome::Outcome,
};

/// Connects all clients as fast as it goes, a bounded number at a time.
pub fn connects(args: &Args) -> Result<Outcome> {
    let mut crowd = crowd(args)?;
    let before = args.probe().sample()?;
    let gathered = crowd.gather()?;
    let usage = before.until(&args.probe().sample()?);
    let outcome = Outcome { p50_ms: gathered.p50_ms, p99_ms: gathered.p99_ms, ..Outcome::of_crowd(&crowd) };
    Ok(Outcome { rejoins: gathered.rejoins, ..outcome.with_count(crowd.ready() as u64, &usage) })
}

/// Connects all clients, waits, and compares the servers' memory with what they had before. They answer pings meanwhile.
#[expect(clippy::cast_precision_loss, reason = "memory of one run")]
pub fn idle(args: &Args) -> Result<Outcome> {
    let mut crowd = crowd(args)?;
    let before = args.probe().memory()?;
    let gathered = crowd.gather()?;
    ensure!(crowd.ready() > 0, "no client came up: {:?}", crowd.failures);
    let sample = args.probe().sample()?;
    let end = now() + nanoseconds(args.warmup);
    while now() < end {
        crowd.turn(&mut Silent, end.min(now() + SECOND))?;
    }
    let usage = sample.until(&args.probe().sample()?);
    let grown = args.probe().memory()? as f64 - before as f64;
    let kb_per_socket = Some(grown / crowd.ready() as f64);
    Ok(Outcome { kb_per_socket, rejoins: gathered.rejoins, ..Outcome::of_crowd(&crowd).with_usage(&usage) })
}
