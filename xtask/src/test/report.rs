//! The results of all steps, printed at the end: a table for people, and a last line for machines.

use std::{
    fmt::{self, Display},
    process::ExitCode,
};

use super::counts::Counts;

/// Last lines of output shown for a failed step that names no failed test.
const TAIL: usize = 15;
/// Names of failed tests shown for a step.
const NAMES: usize = 40;

/// The result of a step.
pub enum Outcome {
    Passed,
    /// The error, and names of failed tests or the last lines of output.
    Failed(String, Vec<String>),
    /// Not requested.
    Skipped,
    /// Not run, because it needs this step, which did not pass.
    NotRun(String),
    /// Left out for this reason.
    Missing(&'static str),
}

/// A step and its result.
pub struct Line {
    pub name: String,
    pub outcome: Outcome,
    pub seconds: f64,
    pub counts: Counts,
}

/// The results of all steps, in their order.
#[derive(Default)]
pub struct Report {
    pub lines: Vec<Line>,
    pub seconds: f64,
}

impl Outcome {
    /// The outcome of a step with this result, output and names of failed tests.
    pub fn of(result: anyhow::Result<()>, output: &str, names: Vec<String>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) if names.is_empty() => {
                let lines: Vec<String> = output.lines().map(str::to_owned).collect();
                Self::Failed(format!("{error:#}"), lines[lines.len().saturating_sub(TAIL)..].to_vec())
            }
            Err(error) => {
                let more = names.len().saturating_sub(NAMES);
                let rest = (more > 0).then(|| format!("and {more} more"));
                Self::Failed(format!("{error:#}"), names.into_iter().take(NAMES).chain(rest).collect())
            }
        }
    }
}

impl Report {
    /// The sum of all steps. A step without a count counts as one test, a failed step as at least one failed test.
    fn counts(&self) -> Counts {
        self.lines.iter().fold(Counts::default(), |all, line| all + line.counts)
    }

    /// Prints it; returns whether the whole run succeeded.
    pub fn conclude(&self) -> ExitCode {
        println!("{self}");
        if self.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Whether every requested step ran and passed.
    fn passed(&self) -> bool {
        !self.lines.iter().any(|line| matches!(line.outcome, Outcome::Failed(..) | Outcome::NotRun(_)))
    }
}

impl Line {
    /// The line of a step that ran.
    pub fn ran(name: &str, outcome: Outcome, seconds: f64, counted: Option<Counts>) -> Self {
        let failed = matches!(outcome, Outcome::Failed(..));
        let mut counts = counted.unwrap_or(Counts { passed: usize::from(!failed), failed: 0 });
        if failed {
            counts.failed = counts.failed.max(1);
        }
        Self { name: name.into(), outcome, seconds, counts }
    }

    /// The line of a step that did not run.
    pub fn skipped(name: &str, outcome: Outcome) -> Self {
        Self { name: name.into(), outcome, seconds: 0.0, counts: Counts::default() }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            if let Outcome::Failed(error, details) = &line.outcome {
                writeln!(f, "== {}: {error}", line.name)?;
                for detail in details {
                    writeln!(f, "     {detail}")?;
                }
            }
        }
        writeln!(f, "== {:<14} {:<8} {:>7} {:>7} {:>7}", "step", "", "seconds", "passed", "failed")?;
        for line in &self.lines {
            let Line { name, seconds, counts, .. } = line;
            let result = match &line.outcome {
                Outcome::Skipped => "skipped".into(),
                Outcome::Missing(why) => format!("LEFT OUT: {why}"),
                Outcome::NotRun(needs) => format!("NOT RUN, because {needs} failed"),
                outcome => {
                    let result = if matches!(outcome, Outcome::Passed) { "ok" } else { "FAILED" };
                    format!("{result:<8} {seconds:>7.1} {:>7} {:>7}", counts.passed, counts.failed)
                }
            };
            writeln!(f, "   {name:<14} {result}")?;
        }
        let end = if self.passed() { "passed" } else { "FAILED" };
        writeln!(f, "== {end} in {:.0} s", self.seconds)?;
        let Counts { passed, failed } = self.counts();
        write!(f, "{passed} passed, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &'static str, outcome: Outcome, counted: Option<(usize, usize)>) -> Line {
        Line::ran(name, outcome, 1.0, counted.map(|(passed, failed)| Counts { passed, failed }))
    }

    #[test]
    fn the_last_line_counts_tests_and_steps_without_any() {
        let mut report = Report::default();
        report.lines.push(line("build", Outcome::Passed, Some((0, 0))));
        report.lines.push(line("cargo", Outcome::Passed, Some((7, 0))));
        report.lines.push(line("chaos", Outcome::Passed, None));
        report.lines.push(Line::skipped("load", Outcome::Skipped));
        assert!(report.passed());
        assert_eq!(report.to_string().lines().last(), Some("8 passed, 0 failed"));
        let failed = || Outcome::of(Err(anyhow::anyhow!("exit code 1")), "a\nb\n", Vec::new());
        // A step can fail although all of its tests passed: that counts as one more failure.
        report.lines.push(line("e2e", failed(), Some((5, 0))));
        report.lines.push(line("fuzz", failed(), None));
        assert!(!report.passed());
        assert_eq!(report.to_string().lines().last(), Some("13 passed, 2 failed"));
        assert!(report.to_string().contains("== e2e: exit code 1\n     a\n     b\n"));
    }

    #[test]
    fn a_step_that_could_not_run_fails_the_report() {
        let mut report = Report::default();
        report.lines.push(Line::skipped("e2e", Outcome::NotRun("build".into())));
        assert!(!report.passed());
        assert!(report.to_string().contains("e2e            NOT RUN, because build failed"));
    }

    #[test]
    fn names_come_before_last_lines() {
        let names = (0..50).map(|n| format!("test {n}")).collect();
        let Outcome::Failed(_, details) = Outcome::of(Err(anyhow::anyhow!("x")), "output", names) else { panic!() };
        assert_eq!((details.len(), details[0].as_str(), details[40].as_str()), (41, "test 0", "and 10 more"));
    }
}
