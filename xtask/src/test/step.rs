//! Runs one step, times it and reports it.

use std::time::Instant;

use anyhow::Result;

use super::{
    counts::{self, Counts},
    report::{Line, Outcome},
};
use crate::output;

/// How a step's success is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As its tests; as one if the output has no count.
    Tests,
    /// As no test: it only prepares others.
    Preparation,
}

/// When a step's output is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// Line by line.
    Live,
    /// All at once at its end: another step prints meanwhile.
    Buffered,
}

/// Runs it; a failure is in the returned line.
pub async fn run(name: &str, kind: Kind, mode: OutputMode, work: impl Future<Output = Result<()>>) -> Line {
    eprintln!("== {name}");
    let begun = Instant::now();
    let (result, output) = output::of_step(mode == OutputMode::Live, work).await;
    let seconds = begun.elapsed().as_secs_f64();
    if mode == OutputMode::Buffered {
        eprint!("== {name} printed:\n{output}");
    }
    match &result {
        Ok(()) => eprintln!("== {name}: ok in {seconds:.1} s"),
        Err(error) => eprintln!("== {name}: FAILED after {seconds:.1} s: {error:#}"),
    }
    let counted = if kind == Kind::Preparation { Some(Counts::default()) } else { Counts::of(&output) };
    Line::ran(name, Outcome::of(result, &output, counts::failures(&output)), seconds, counted)
}
