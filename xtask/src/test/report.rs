//! The results of all steps, printed at the end: a table for people, and a last line for machines.

use std::fmt::{self, Display};

use super::counts::Counts;

/// Last lines of output shown for a failed step that names no failed test.
const TAIL: usize = 15;
/// Names of failed tests shown for a step.
const NAMES: usize = 40;

/// The result of a step.
pub enum Outcome {
    Passed,
    /// Why, and names of tests or the last lines.
    Failed(String, Vec<String>),
    /// Not requested.
    LeftOut,
    /// Not run, because this step, which it needs, did not pass.
    NotRun(&'static str),
}

/// A step and its result.
pub struct Line {
    pub name: &'static str,
    pub outcome: Outcome,
    pub seconds: f64,
    pub counts: Counts,
}

/// All of them, in their order.
#[derive(Default)]
pub struct Report {
    pub lines: Vec<Line>,
    pub seconds: f64,
}

impl Outcome {
    /// Of a step with this result, output and names of failed tests.
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
    pub fn counts(&self) -> Counts {
        self.lines.iter().fold(Counts::default(), |all, line| all + line.counts)
    }

    /// Whether every requested step ran and passed.
    pub fn good(&self) -> bool {
        !self.lines.iter().any(|line| matches!(line.outcome, Outcome::Failed(..) | Outcome::NotRun(_)))
    }
}

impl Line {
    /// Of a step that ran.
    pub fn ran(name: &'static str, outcome: Outcome, seconds: f64, counted: Option<Counts>) -> Self {
        let failed = matches!(outcome, Outcome::Failed(..));
        let mut counts = counted.unwrap_or(Counts { passed: usize::from(!failed), failed: 0 });
        if failed {
            counts.failed = counts.failed.max(1);
        }
        Self { name, outcome, seconds, counts }
    }

    /// Of one that did not.
    pub fn skipped(name: &'static str, outcome: Outcome) -> Self {
        Self { name, outcome, seconds: 0.0, counts: Counts::default() }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            if let Outcome::Failed(why, details) = &line.outcome {
                writeln!(f, "== {}: {why}", line.name)?;
                for detail in details {
                    writeln!(f, "     {detail}")?;
                }
            }
        }
        writeln!(f, "== {:<14} {:<8} {:>7} {:>7} {:>7}", "step", "", "seconds", "passed", "failed")?;
        for line in &self.lines {
            let Line { name, seconds, counts, .. } = line;
            let told = match line.outcome {
                Outcome::Passed => "ok",
                Outcome::Failed(..) => "FAILED",
                Outcome::LeftOut => {
                    writeln!(f, "   {name:<14} left out")?;
                    continue;
                }
                Outcome::NotRun(needs) => {
                    writeln!(f, "   {name:<14} NOT RUN, because {needs} failed")?;
                    continue;
                }
            };
            writeln!(f, "   {name:<14} {told:<8} {seconds:>7.1} {:>7} {:>7}", counts.passed, counts.failed)?;
        }
        let end = if self.good() { "all good" } else { "NOT GOOD" };
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
        report.lines.push(Line::skipped("load", Outcome::LeftOut));
        assert!(report.good());
        assert_eq!(report.to_string().lines().last(), Some("8 passed, 0 failed"));
        let failed = || Outcome::of(Err(anyhow::anyhow!("exit code 1")), "a\nb\n", Vec::new());
        // A step can fail although all of its tests passed: that counts as one more failure.
        report.lines.push(line("e2e", failed(), Some((5, 0))));
        report.lines.push(line("fuzz", failed(), None));
        assert!(!report.good());
        assert_eq!(report.to_string().lines().last(), Some("13 passed, 2 failed"));
        assert!(report.to_string().contains("== e2e: exit code 1\n     a\n     b\n"));
    }

    #[test]
    fn what_could_not_be_run_is_not_good() {
        let mut report = Report::default();
        report.lines.push(Line::skipped("e2e", Outcome::NotRun("build")));
        assert!(!report.good());
        assert!(report.to_string().contains("e2e            NOT RUN, because build failed"));
    }

    #[test]
    fn names_come_before_last_lines() {
        let names = (0..50).map(|n| format!("test {n}")).collect();
        let Outcome::Failed(_, told) = Outcome::of(Err(anyhow::anyhow!("x")), "output", names) else { panic!() };
        assert_eq!((told.len(), told[0].as_str(), told[40].as_str()), (41, "test 0", "and 10 more"));
    }
}
