//! One partition in memory.

use std::{collections::VecDeque, time::Duration};

use crate::{
    facts::{
        fact::{Fact, FactId},
        kind::Kind,
        page::{PAGE_BYTES, Page},
    },
    log::Position,
    now_micros,
    partition::Partition,
};

/// See the module.
#[derive(Default)]
pub(crate) struct MemoryPartition {
    end: Position,
    facts: VecDeque<Fact>,
}

impl MemoryPartition {
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    pub(crate) fn record(&mut self, partition: Partition, kind: Kind, data: Box<str>, max: usize, age: Duration) {
        let at = now_micros();
        if self.end.epoch == 0 {
            self.end.epoch = at;
        }
        self.end.number += 1;
        self.facts.push_back(Fact { id: FactId { partition, at, number: self.end.number }, kind, data });
        let oldest = at.saturating_sub(u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
        while self.facts.len() > max || self.facts.front().is_some_and(|fact| fact.id.at < oldest) {
            self.facts.pop_front();
        }
    }

    /// The data last as long as the process, so there is only one epoch.
    pub(crate) fn read(&self, after: Position, count: usize) -> Page {
        let mut bytes = 0;
        let fits = |fact: &&Fact| {
            let is_first = bytes == 0;
            bytes += fact.data.len().max(1);
            is_first || bytes <= PAGE_BYTES
        };
        // The numbers have no holes.
        let oldest = self.facts.front().map_or(self.end.number + 1, |fact| fact.id.number);
        let skipped = usize::try_from((after.number + 1).saturating_sub(oldest)).unwrap_or(usize::MAX);
        let facts: Vec<Fact> = self.facts.iter().skip(skipped).take(count).take_while(fits).cloned().collect();
        let first = facts.first().map_or(self.end.number + 1, |fact| fact.id.number);
        let number = facts.last().map_or(self.end.number, |fact| fact.id.number);
        let dropped = if after.epoch == 0 { 0 } else { (first - 1).saturating_sub(after.number) };
        Page { facts, next: Position { number, ..self.end }, end: self.end, dropped, reset: false }
    }
}
