//! One step: run, timed, told of.

use std::time::Instant;

use anyhow::Result;

use super::{
    counts::{self, Counts},
    report::{Line, Outcome},
};
use crate::output;

/// What a step's success counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its tests; one, where nothing says how many there are.
    Tests,
    /// None: it only makes others possible.
    Preparation,
}

/// When its output is passed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// Line by line.
    Live,
    /// At its end, all at once: another step speaks meanwhile.
    Held,
}

/// Runs it, whatever the result.
pub async fn run(name: &'static str, kind: Kind, voice: Voice, work: impl Future<Output = Result<()>>) -> Line {
    eprintln!("== {name}");
    let begun = Instant::now();
    let (result, output) = output::of_step(voice == Voice::Live, work).await;
    let seconds = begun.elapsed().as_secs_f64();
    if voice == Voice::Held {
        eprint!("== {name} printed:\n{output}");
    }
    match &result {
        Ok(()) => eprintln!("== {name}: ok in {seconds:.1} s"),
        Err(error) => eprintln!("== {name}: FAILED after {seconds:.1} s: {error:#}"),
    }
    let counted = if kind == Kind::Preparation { Some(Counts::default()) } else { Counts::of(&output) };
    Line::ran(name, Outcome::of(result, &output, counts::failures(&output)), seconds, counted)
}
