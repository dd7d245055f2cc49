//! The runs of a benchmark, kept in a file as they end: one line of JSON each. An interrupted benchmark loses none.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{peer::Peer, scenario::Scenario};

/// The first line of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Processor, cores and kernel.
    pub machine: String,
    /// A tenth of the clients, for a second.
    pub quick: bool,
    /// Built without optimisations.
    pub debug: bool,
}

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub round: u32,
    pub scenario: Scenario,
    pub peer: Peer,
    /// The load generator's figures; none if the run failed.
    pub outcome: Option<Value>,
}

/// All runs.
pub struct Results {
    pub runs: Vec<Run>,
    /// How and where they ran.
    pub setup: Setup,
    file: Option<File>,
}

impl Results {
    /// None yet, in a new file.
    pub fn create(path: &Path, setup: Setup) -> Result<Self> {
        let mut file = File::create_new(path).with_context(|| path.display().to_string())?;
        writeln!(file, "{}", serde_json::to_string(&setup)?)?;
        Ok(Self { runs: Vec::new(), setup, file: Some(file) })
    }

    /// Those of an earlier benchmark.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self::parse(&text))
    }

    /// The text of a file.
    pub fn parse(text: &str) -> Self {
        let setup = text.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        Self { runs: text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), setup, file: None }
    }

    /// Adds a run.
    pub fn add(&mut self, run: Run) -> Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(&run)?)?;
        }
        self.runs.push(run);
        Ok(())
    }

    /// The figures of a peer's successful runs.
    pub fn of(&self, scenario: Scenario, peer: Peer) -> impl Iterator<Item = &Value> {
        let runs = self.runs.iter().filter(move |run| run.scenario == scenario && run.peer == peer);
        runs.filter_map(|run| run.outcome.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_can_be_read_again() {
        let path = std::env::temp_dir().join(format!("jackfield-bench-test-{}.jsonl", std::process::id()));
        let setup = Setup { machine: "here".into(), quick: true, debug: false };
        let mut results = Results::create(&path, setup.clone()).unwrap();
        for outcome in [Some(serde_json::json!({ "per_cpu_second": 3.5 })), None] {
            results.add(Run { round: 1, scenario: Scenario::Echo1, peer: Peer::JackfieldOxide, outcome }).unwrap();
        }
        let read = Results::read(&path);
        fs::remove_file(&path).unwrap();
        let read = read.unwrap();
        assert_eq!((read.runs.len(), &read.setup), (2, &setup));
        assert_eq!(read.of(Scenario::Echo1, Peer::JackfieldOxide).count(), 1);
        assert_eq!(read.of(Scenario::Echo, Peer::JackfieldOxide).count(), 0);
    }
}
