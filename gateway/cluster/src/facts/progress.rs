//! How far a hook has got in a partition.

use crate::{facts::fact::Fact, facts::fact::FactId, log::Position, partition::Partition};

/// Dead facts that a partition keeps for a hook; beyond, the oldest death is forgotten.
pub const DEAD_MAX: usize = 1_000;

/// A fact that was refused, or that waits behind one about the same subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The fact.
    pub fact: Fact,
    /// Until when it is sent again, in Unix milliseconds.
    pub until: u64,
}

/// A fact that was refused until the end of its term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The fact.
    pub fact: Fact,
    /// When it was given up, in Unix milliseconds.
    pub at: u64,
    /// Why it was refused last: a status, or a name without spaces.
    pub reason: Box<str>,
}

/// A hook's progress as the back end has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookState {
    /// Every fact up to here was delivered, parked, or is of no interest to the hook.
    pub cursor: Position,
    /// Changes with every change.
    pub version: u64,
    /// By their numbers.
    pub parked: Vec<Parked>,
}

/// A change of a hook's progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The new cursor.
    pub cursor: Position,
    /// Facts that were no longer kept when they were due.
    pub dropped: u64,
    /// Facts to park.
    pub parked: Vec<Parked>,
    /// Parked facts that were delivered, or are dead.
    pub unparked: Vec<FactId>,
    /// Facts that were given up.
    pub dead: Vec<Dead>,
    /// Until when nothing is sent, in Unix milliseconds; 0 if the hook answers.
    pub paused_until: u64,
    /// The last failure; empty if the hook answers.
    pub error: Box<str>,
}

/// The outcome of saving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// Saved; the version is now this one.
    Saved(u64),
    /// Another one changed the progress: load it again.
    Changed,
    /// The lease is lost.
    Lost,
}

/// A hook's progress in all partitions together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HookStatus {
    /// Facts that are recorded and not looked at yet, of all kinds.
    pub waiting: u64,
    /// Parked facts.
    pub parked: u64,
    /// Dead facts.
    pub dead: u64,
    /// Facts that were no longer kept when they were due, and dead ones beyond [`DEAD_MAX`].
    pub dropped: u64,
    /// Until when nothing is sent in any partition, in Unix milliseconds; 0 if the hook answers.
    pub paused_until: u64,
    /// The last failure; empty if the hook answers.
    pub error: Box<str>,
}

impl Parked {
    /// `<until> <fact>`.
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.until, self.fact.text())
    }

    pub(crate) fn parse(id: FactId, text: &str) -> Option<Self> {
        let (until, fact) = text.split_once(' ')?;
        Some(Self { fact: Fact::parse(id.partition, id.number, fact)?, until: until.parse().ok()? })
    }
}

impl Dead {
    /// `<at> <reason> <id> <fact>`.
    pub(crate) fn text(&self) -> String {
        format!("{} {} {} {}", self.at, self.reason, self.fact.id, self.fact.text())
    }

    pub(crate) fn parse(partition: Partition, text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let (at, reason) = (parts.next()?.parse().ok()?, parts.next()?.into());
        let id: FactId = parts.next()?.parse().ok()?;
        Some(Self { fact: Fact::parse(partition, id.number, parts.next()?)?, at, reason })
    }
}

impl HookStatus {
    /// Adds the state of one partition's deliveries: the latest end of a pause, and a failure.
    pub(crate) fn fails(&mut self, paused_until: u64, error: &str) {
        if paused_until >= self.paused_until && !error.is_empty() {
            self.error = error.into();
        }
        self.paused_until = self.paused_until.max(paused_until);
    }
}
