//! Counts the users of the whole cluster, from the nodes' reports. Pure.
//!
//! A user with sessions on several nodes counts once. So every node reports the number of its users, and the lowest hashes
//! of their ids. The hash function is the same on every node, so the lowest hashes are a fair sample of all users that
//! shows on how many nodes a user is. Guarantees: the number is exact while no node has more than [`SAMPLE`] users, and
//! whenever no user is on two nodes; otherwise it is an estimate, a few per cent off. The reports travel with the
//! heartbeats, so the census costs the back end nothing else.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Most hashes that a node reports.
pub(crate) const SAMPLE: usize = 512;

/// The number of one node's users, and a sample of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Census {
    /// Number of users.
    pub(crate) users: usize,
    /// The lowest of their hashes, in order. If a node of an older version reports none, the nodes' numbers are added up.
    #[serde(default)]
    pub(crate) lowest: Vec<u64>,
}

/// A user's hash: the same on every node and in every version.
pub(crate) fn hash(user: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(user.as_bytes()).into();
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// How many users these nodes have together.
pub(crate) fn users<'a>(nodes: impl Iterator<Item = &'a Census> + Clone) -> usize {
    // Up to this hash, every node has reported all its users.
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
        fn few_users_are_counted_exactly(
            nodes in prop::collection::vec(prop::collection::btree_set(0u32..600, 0..SAMPLE), 0..5),
        ) {
            prop_assert_eq!(counted(&nodes), nodes.iter().flatten().collect::<BTreeSet<_>>().len());
        }

        #[test]
        fn many_users_are_counted_exactly_if_none_is_on_two_nodes(sizes in prop::collection::vec(0u32..3_000, 0..5)) {
            let node = |(index, size): (usize, &u32)| (0..*size).map(|user| user * 5 + index as u32).collect();
            let nodes: Vec<BTreeSet<u32>> = sizes.iter().enumerate().map(node).collect();
            prop_assert_eq!(counted(&nodes), sizes.iter().sum::<u32>() as usize);
        }
    }

    #[test]
    fn many_users_on_several_nodes_are_estimated_closely() {
        // A third of 60,000 on one node, a third on two, a third on three.
        let nodes: Vec<BTreeSet<u32>> =
            (0..3).map(|node| (0..60_000).filter(|user| user % 3 >= node).collect()).collect();
        let counted = counted(&nodes);
        assert!(counted.abs_diff(60_000) < 3_600, "{counted}");
    }

    #[test]
    fn nodes_without_a_sample_are_added_up() {
        let silent = Census { users: 7, lowest: Vec::new() };
        assert_eq!(users([&silent, &silent].into_iter()), 14);
    }
}
