//! Counts of passed and failed tests, and names of failed ones, read from the output of the test runners.

/// Of one step, or of a whole run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl Counts {
    /// The sum of all runners' summaries in the output; none if there is no summary.
    pub fn of(output: &str) -> Option<Self> {
        let found = output.lines().filter_map(|line| cargo(line).or_else(|| node(line)));
        found.chain(unittest(output)).reduce(|all, one| all + one)
    }
}

/// `test result: ok. 5 passed; 0 failed; 0 ignored; …`
fn cargo(line: &str) -> Option<Counts> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let count = |what| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    Some(Counts { passed: count("passed")?, failed: count("failed")? })
}

/// `ℹ pass 5` and `ℹ fail 0`. Tests cancelled because an earlier one failed count as failed, too.
fn node(line: &str) -> Option<Counts> {
    let (what, count) = line.strip_prefix("ℹ ")?.split_once(' ')?;
    let count = count.parse().ok()?;
    match what {
        "pass" => Some(Counts { passed: count, failed: 0 }),
        "fail" | "cancelled" => Some(Counts { passed: 0, failed: count }),
        _ => None,
    }
}

/// `Ran 2 tests in 3.2s`, and in the end `OK` or `FAILED (failures=1, errors=1)`, in which parts of tests are counted.
fn unittest(output: &str) -> Option<Counts> {
    let ran = output.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse().ok())?;
    let failures = output.lines().find_map(|line| line.strip_prefix("FAILED (")).unwrap_or_default();
    let parts = failures.split([',', ')']).filter_map(|part| part.split_once('=')?.1.parse::<usize>().ok());
    let failed = parts.sum::<usize>().min(ran);
    Some(Counts { passed: ran - failed, failed })
}

/// Names of the tests that failed.
pub fn failures(output: &str) -> Vec<String> {
    let mut names: Vec<String> = output.lines().filter_map(cargo_failure).map(str::to_owned).collect();
    // Node lists all of them again at the end, each after its place.
    let node = output.split("✖ failing tests:").skip(1).flat_map(|rest| {
        let lines: Vec<&str> = rest.lines().collect();
        lines.windows(2).filter_map(node_failure).collect::<Vec<_>>()
    });
    names.extend(node);
    let unittest =
        output.lines().filter_map(|line| line.strip_prefix("FAIL: ").or_else(|| line.strip_prefix("ERROR: ")));
    names.extend(unittest.map(str::to_owned));
    names
}

/// `test one::two ... FAILED`
fn cargo_failure(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// `test at kill.test.mjs:113:3` and in the next line `✖ its name (12.3ms)`.
fn node_failure(pair: &[&str]) -> Option<String> {
    let [place, name] = pair else { return None };
    let (place, name) = (place.strip_prefix("test at ")?, name.strip_prefix("✖ ")?);
    let name = name.rsplit_once(" (").map_or(name, |(name, _)| name);
    Some(format!("{place}: {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO: &str = "running 2 tests
test a::good ... ok
test a::bad ... FAILED

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 3 tests
test result: ok. 3 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.00s
";
    const NODE: &str = "▶ a suite
  ✔ good (3.1ms)
  ✖ bad (1) (4.2ms)
ℹ tests 3
ℹ suites 1
ℹ pass 1
ℹ fail 1
ℹ cancelled 1
ℹ duration_ms 12.5

✖ failing tests:

test at kill.test.mjs:113:3
✖ bad (1) (4.2ms)
  Error: no
";

    #[test]
    fn summaries_are_added_up() {
        assert_eq!(Counts::of(CARGO), Some(Counts { passed: 4, failed: 1 }));
        assert_eq!(Counts::of(NODE), Some(Counts { passed: 1, failed: 2 }));
        let unittest = "Ran 2 tests in 0.1s\n\nFAILED (failures=3, errors=1)\n";
        assert_eq!(Counts::of(unittest), Some(Counts { passed: 0, failed: 2 }));
        assert_eq!(Counts::of("Ran 2 tests in 0.1s\n\nOK\n"), Some(Counts { passed: 2, failed: 0 }));
        assert_eq!(Counts::of("anything else\n"), None);
    }

    #[test]
    fn failed_tests_are_named() {
        assert_eq!(failures(CARGO), ["a::bad"]);
        assert_eq!(failures(NODE), ["kill.test.mjs:113:3: bad (1)"]);
        assert_eq!(
            failures("FAIL: test_dev (__main__.Manifests.test_dev)\n"),
            ["test_dev (__main__.Manifests.test_dev)"]
        );
        assert!(failures("test result: ok. 3 passed; 0 failed;\n").is_empty());
    }
}
