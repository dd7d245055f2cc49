//! Counts the users of the whole cluster, from what each node reports of its own.
//!
//! A user who has sessions on several nodes is one user. So every node reports how many users it has, and the lowest
//! hashes of their ids. The hash is the same everywhere: so the lowest hashes are the same fair sample of all users on
//! every node, and show on how many nodes a user counts. Guarantees: the number is exact while no node has more than
//! [`SAMPLE`] users, and whenever no user is on two nodes; otherwise it is an estimate, a few per cent off. Costs the
//! back end nothing beyond the heartbeats, and recovers with them. Pure.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Most hashes that a node reports.
pub(crate) const SAMPLE: usize = 512;

/// One node's users. The module says how exact the number for several nodes is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Census {
    /// Number of users.
    pub(crate) users: usize,
    /// The lowest of their hashes, in order. With a node whose version reports none, the nodes' numbers are added up.
    #[serde(default)]
    pub(crate) lowest: Vec<u64>,
}

/// A user's hash: the same on every node, whatever its version.
pub(crate) fn hash(user: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(user.as_bytes()).into();
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// How many users these nodes have together.
pub(crate) fn users<'a>(nodes: impl Iterator<Item = &'a Census> + Clone) -> usize {
    // Up to this hash every node has reported all its users.
    let bound = nodes.clone().filter(|node| node.lowest.len() < node.users).map(|node| node.lowest.last().copied());
    let bound = bound.map(Option::unwrap_or_default).min().unwrap_or(u64::MAX);
    let named = nodes.clone().flat_map(|node| &node.lowest);
    let mut sample: Vec<u64> = named.copied().filter(|hash| *hash <= bound).collect();
    let total: usize = nodes.map(|node| node.users).sum();
    let counted = sample.len();
    sample.sort_unstable();
    sample.dedup();
    (total * sample.len() + counted / 2).checked_div(counted).unwrap_or(total)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn census(users: &BTreeSet<u32>) -> Census {
        let hashes: BTreeSet<u64> = users.iter().map(|user| hash(&user.to_string())).collect();
        Census { users: users.len(), lowest: hashes.into_iter().take(SAMPLE).collect() }
    }

    fn counted(nodes: &[BTreeSet<u32>]) -> usize {
        let reports: Vec<Census> = nodes.iter().map(census).collect();
        users(reports.iter())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn few_are_counted_exactly(
            nodes in prop::collection::vec(prop::collection::btree_set(0u32..600, 0..SAMPLE), 0..5),
        ) {
            prop_assert_eq!(counted(&nodes), nodes.iter().flatten().collect::<BTreeSet<_>>().len());
        }

        #[test]
        fn many_are_counted_exactly_where_nobody_is_on_two(sizes in prop::collection::vec(0u32..3_000, 0..5)) {
            let node = |(index, size): (usize, &u32)| (0..*size).map(|user| user * 5 + index as u32).collect();
            let nodes: Vec<BTreeSet<u32>> = sizes.iter().enumerate().map(node).collect();
            prop_assert_eq!(counted(&nodes), sizes.iter().sum::<u32>() as usize);
        }
    }

    #[test]
    fn many_on_several_are_counted_closely() {
        // A third of 60,000 on one node, a third on two, a third on three.
        let nodes: Vec<BTreeSet<u32>> =
            (0..3).map(|node| (0..60_000).filter(|user| user % 3 >= node).collect()).collect();
        let counted = counted(&nodes);
        assert!(counted.abs_diff(60_000) < 3_600, "{counted}");
    }

    #[test]
    fn a_node_that_names_nobody_counts_in_full() {
        let silent = Census { users: 7, lowest: Vec::new() };
        assert_eq!(users([&silent, &silent].into_iter()), 14);
    }
}
