//! Merges pages of all partitions in the order of time. Pure.

use std::collections::VecDeque;

use jackfield_cluster::{
    facts::{Fact, Page},
    log::Position,
    partition::Partition,
};

/// One partition's part of a merge.
struct Part {
    partition: Partition,
    facts: VecDeque<Fact>,
    /// Whether facts follow after the page.
    is_cut: bool,
    /// The position after the whole page.
    next: Position,
    epoch: u64,
}

/// At most `limit` wanted facts of these pages by their time, and where to continue in each partition. A fact that may
/// be later than one that no page has yet is left for the next merge.
pub(super) fn merge(
    pages: Vec<(Partition, Page)>,
    limit: usize,
    wanted: impl Fn(&Fact) -> bool,
) -> (Vec<Fact>, Vec<(Partition, Position)>) {
    let part = |(partition, page): (Partition, Page)| Part {
        partition,
        is_cut: page.next != page.end && page.end.epoch > 0,
        next: page.next,
        epoch: page.end.epoch,
        facts: page.facts.into(),
    };
    let mut parts: Vec<Part> = pages.into_iter().map(part).collect();
    let last = |part: &Part| part.facts.iter().map(|fact| fact.id.at).max();
    let horizon = parts.iter().filter(|part| part.is_cut).filter_map(last).min().unwrap_or(u64::MAX);
    let mut merged = Vec::new();
    while merged.len() < limit {
        let heads = parts.iter_mut().filter(|part| part.facts.front().is_some_and(|fact| fact.id.at <= horizon));
        let earliest = heads.min_by_key(|part| part.facts.front().map(|fact| (fact.id.at, fact.id.partition)));
        let Some(fact) = earliest.and_then(|part| part.facts.pop_front()) else { break };
        merged.extend(Some(fact).filter(&wanted));
    }
    let next = |part: Part| {
        let before = |fact: &Fact| Position { epoch: part.epoch, number: fact.id.number - 1 };
        (part.partition, part.facts.front().map_or(part.next, before))
    };
    (merged, parts.into_iter().map(next).collect())
}

#[cfg(test)]
mod tests {
    use jackfield_cluster::facts::{FactId, Kind};
    use proptest::prelude::*;

    use super::*;

    const EPOCH: u64 = 9;

    fn fact(partition: Partition, number: u64, at: u64) -> Fact {
        Fact { id: FactId { partition, at, number }, kind: Kind::UserOnline, data: "{}".into() }
    }

    fn page(partition: Partition, all: &[u64], after: u64, count: usize) -> Page {
        let facts: Vec<Fact> = all.iter().zip(1..).map(|(at, number)| fact(partition, number, *at)).collect();
        let facts: Vec<Fact> = facts.into_iter().filter(|fact| fact.id.number > after).take(count).collect();
        let end = Position { epoch: EPOCH, number: all.len() as u64 };
        let number = facts.last().map_or(end.number, |fact| fact.id.number);
        Page { facts, next: Position { number, ..end }, end, dropped: 0, reset: false }
    }

    proptest! {
        /// Page after page: every fact once, in the order of time, whatever the sizes.
        #[test]
        fn all_facts_come_once_and_in_order(
            steps in prop::collection::vec((0..4_u8, 0..3_u64), 0..80), count in 1..9_usize, limit in 1..20_usize
        ) {
            let mut logs: Vec<Vec<u64>> = vec![Vec::new(); 4];
            let mut now = 0;
            for (partition, pause) in &steps {
                now += pause;
                logs[usize::from(*partition)].push(now);
            }
            let mut at = [0; 4];
            let mut got: Vec<FactId> = Vec::new();
            for _ in 0..=steps.len() {
                let pages = logs.iter().zip(0..).map(|(log, index)| {
                    let partition = Partition::new(index).unwrap();
                    (partition, page(partition, log, at[partition.index()], count))
                });
                let (facts, next) = merge(pages.collect(), limit, |_| true);
                prop_assert!(facts.len() <= limit);
                got.extend(facts.iter().map(|fact| fact.id));
                for (partition, position) in next {
                    at[partition.index()] = position.number;
                }
            }
            prop_assert_eq!(got.len(), steps.len());
            prop_assert!(got.is_sorted_by_key(|id| id.at));
        }
    }
}
