//! Which partitions a node keeps and gives up. Pure.

use std::collections::BTreeSet;

use jackfield_cluster::partition::{PARTITIONS, Partition};

/// The next steps of a node that shares the partitions with others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Partitions to renew.
    pub(super) keep: Vec<Partition>,
    /// Partitions above the fair share.
    pub(super) give_up: Vec<Partition>,
    /// How many more to take.
    pub(super) missing: usize,
}

/// The steps of a node that holds these partitions, where so many nodes share them all.
pub(super) fn plan(held: impl Iterator<Item = Partition>, nodes: usize) -> Plan {
    let share = usize::from(PARTITIONS).div_ceil(nodes.max(1));
    let mut keep: Vec<Partition> = held.collect();
    let give_up = keep.split_off(keep.len().min(share));
    let missing = share - keep.len();
    Plan { keep, give_up, missing }
}

/// The partitions that a node may try to take, in an order of its own: from `start` on.
pub(super) fn candidates(start: usize, held: &[Partition], given_up: &[Partition]) -> Vec<Partition> {
    let not: BTreeSet<_> = held.iter().chain(given_up).collect();
    let mut all: Vec<Partition> = Partition::all().collect();
    all.rotate_left(start % usize::from(PARTITIONS));
    all.retain(|partition| !not.contains(partition));
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// One round of one node, against the owners of all partitions.
    fn round(owners: &mut BTreeMap<Partition, usize>, node: usize, nodes: usize, start: usize) {
        let held: Vec<_> =
            owners.iter().filter(|(_, owner)| **owner == node).map(|(partition, _)| *partition).collect();
        let Plan { keep, give_up, mut missing } = plan(held.into_iter(), nodes);
        owners.retain(|partition, _| !give_up.contains(partition));
        for partition in candidates(start, &keep, &give_up) {
            if missing > 0 && !owners.contains_key(&partition) {
                owners.insert(partition, node);
                missing -= 1;
            }
        }
    }

    proptest! {
        /// However nodes come and go: after two rounds every partition has an owner, and no node more than its share.
        #[test]
        fn partitions_are_shared_fairly(counts in prop::collection::vec(1..20_usize, 1..6), start: usize) {
            let mut owners = BTreeMap::new();
            for nodes in counts {
                // Those of dead nodes are free once their leases are over.
                owners.retain(|_, owner| *owner < nodes);
                for _ in 0..2 {
                    (0..nodes).for_each(|node| round(&mut owners, node, nodes, start.wrapping_add(node * 7)));
                }
                prop_assert_eq!(owners.len(), usize::from(PARTITIONS));
                let most = (0..nodes).map(|node| owners.values().filter(|owner| **owner == node).count()).max();
                prop_assert!(most <= Some(usize::from(PARTITIONS).div_ceil(nodes)));
            }
        }
    }
}
