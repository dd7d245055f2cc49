//! Warnings about doubtful figures. Pure.

use std::fmt::Write;

use serde_json::Value;

use super::{
    results::{Results, Setup},
    table::percent,
};

/// Above this share of the machine's CPU time, whoever else used it is measured, too.
const TOLERATED: f64 = 0.05;

/// A paced run whose rate differs by more measured how a backlog is worked off, not what the pace costs.
const OFF_PACE: f64 = 0.05;

/// Whether a paced run fell behind its pace.
pub fn is_off_pace(outcome: &Value) -> bool {
    let ratio = outcome["per_second"].as_f64().zip(outcome["expected_per_second"].as_f64());
    ratio.is_some_and(|(real, expected)| (real / expected - 1.0).abs() > OFF_PACE)
}

/// The machine, and a sentence for each reason to doubt.
pub fn all(results: &Results) -> String {
    let mut text = String::new();
    let Setup { machine, quick, debug } = &results.setup;
    if !machine.is_empty() {
        let _ = writeln!(text, "\n{machine}");
    }
    if *quick {
        text.push_str("\nWarning: this was a quick run, with a tenth of the clients: the figures say little.\n");
    }
    if *debug {
        text.push_str("\nWarning: Jackfield was built without optimisations: its figures say nothing.\n");
    }
    if results.runs.iter().filter_map(|run| run.outcome.as_ref()).any(is_off_pace) {
        text.push_str(
            "\nWarning: in paced runs the servers worked off a backlog, because this machine did not keep the pace. \
             These runs are left out.\n",
        );
    }
    for (name, whose) in [("stolen", "the hypervisor gave to others"), ("others", "other processes used")] {
        let outcomes = results.runs.iter().filter_map(|run| run.outcome.as_ref());
        let shares: Vec<f64> = outcomes.filter_map(|outcome| outcome[name].as_f64()).collect();
        let high = shares.iter().filter(|share| **share > TOLERATED).count();
        if high > 0 {
            let (runs, tolerated) = (shares.len(), percent(TOLERATED));
            let most = percent(shares.iter().fold(0.0, |most: f64, share| most.max(*share)));
            let _ = writeln!(
                text,
                "\nWarning: in {high} of {runs} runs {whose} more than {tolerated} of the CPU time (at most {most}). Repeat \
                 them on a quieter machine, or compare only medians of many rounds."
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::table::{self, tests::results};

    #[test]
    fn what_makes_figures_doubtful_is_a_warning() {
        let text = table::all(&results());
        assert!(text.contains("a machine\n"), "{text}");
        assert!(text.contains("in 1 of 5 runs the hypervisor gave to others more than 5 %"), "{text}");
        assert!(
            text.contains("without optimisations") && !text.contains("quick") && !text.contains("processes"),
            "{text}"
        );
        let mut quiet = results();
        quiet.runs.truncate(3);
        quiet.setup = Setup { quick: true, ..Setup::default() };
        assert_eq!(table::all(&quiet).matches("Warning").count(), 1);
    }

    #[test]
    fn a_run_that_did_not_keep_the_pace_is_named() {
        let outcome = |rate: u32| format!(r#"{{"per_second":{rate},"expected_per_second":1000.0}}"#);
        let line =
            |rate| format!(r#"{{"round":1,"scenario":"big-room-paced","peer":"bun","outcome":{}}}"#, outcome(rate));
        let text = |rates: &[u32]| {
            table::all(&Results::parse(&rates.iter().copied().map(line).collect::<Vec<_>>().join("\n")))
        };
        let slow = text(&[1_000, 900, 1_100]);
        assert!(slow.contains("| 1,000 |") && slow.contains("; left out, off the pace: 2 |"), "{slow}");
        assert!(!text(&[1_000, 990]).contains("pace:"));
    }
}
