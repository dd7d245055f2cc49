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
    file: Option<File>,
}

impl Results {
    /// None yet, in a new file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).with_context(|| path.display().to_string())?;
        Ok(Self { runs: Vec::new(), file: Some(file) })
    }

    /// Those of an earlier benchmark.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Ok(Self::parse(&text))
    }

    /// Lines that are no run are notes.
    pub fn parse(text: &str) -> Self {
        Self { runs: text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(), file: None }
    }

    /// Writes a line that is no run.
    pub fn note(&mut self, note: &impl Serialize) -> Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{}", serde_json::to_string(note)?)?;
        }
        Ok(())
    }

    /// Adds a run.
    pub fn add(&mut self, run: Run) -> Result<()> {
        self.note(&run)?;
        self.runs.push(run);
        Ok(())
    }

    /// The figures of a peer's successful runs.
    pub fn of(&self, scenario: Scenario, peer: Peer) -> impl Iterator<Item = &Value> {
        let runs = self.runs.iter().filter(move |run| run.scenario == scenario && run.peer == peer);
        runs.filter_map(|run| run.outcome.as_ref())
    }
}
