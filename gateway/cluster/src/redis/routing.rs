//! The server of each partition.

use std::sync::Arc;

use crate::{
    partition::{PARTITIONS, Partition, PartitionSet},
    redis::server::Server,
};

/// The servers, and the partitions of each.
pub(crate) struct Routing {
    pub(crate) servers: Box<[Arc<Server>]>,
    /// Index of the server of each partition.
    of: [u8; PARTITIONS as usize],
}

impl Routing {
    /// Each of these servers, at most as many as there are partitions, has an equal share of them.
    pub(crate) fn shared_by(servers: Box<[Arc<Server>]>) -> Self {
        Self { of: shares(servers.len()), servers }
    }

    /// The server of a partition.
    pub(crate) fn server(&self, partition: Partition) -> &Arc<Server> {
        &self.servers[self.index(partition)]
    }

    /// The index of the server of a partition.
    pub(crate) fn index(&self, partition: Partition) -> usize {
        self.of[partition.index()].into()
    }

    /// The partitions of the server with this index.
    pub(crate) fn partitions_of(&self, index: usize) -> PartitionSet {
        Partition::all().filter(|partition| self.index(*partition) == index).collect()
    }
}

/// The index of the server of each partition, for so many servers: each has as many as any other, or one more. With one
/// more server at the end, only that one's partitions move. The first one always has [`Partition::FIRST`].
fn shares(servers: usize) -> [u8; PARTITIONS as usize] {
    let mut of = [0; PARTITIONS as usize];
    for new in 1..servers {
        for _ in 0..usize::from(PARTITIONS) / (new + 1) {
            let count = |server: usize| of.iter().filter(|of| usize::from(**of) == server).count();
            // The one with the most, the first of these, gives up one of its partitions, spread over all.
            let largest = (0..new).max_by_key(|server| (count(*server), usize::MAX - server)).unwrap_or_default();
            let own = (1..of.len()).filter(|partition| usize::from(of[*partition]) == largest);
            let given = own.min_by_key(|partition| (partition * 2_654_435_761 ^ new * 40_503) % 65_521);
            if let (Some(partition), Ok(new)) = (given, u8::try_from(new)) {
                of[partition] = new;
            }
        }
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_and_one_more_server_takes_only_its_share() {
        let mut before = shares(1);
        for servers in 2..=usize::from(PARTITIONS) {
            let of = shares(servers);
            let counts: Vec<_> =
                (0..servers).map(|server| of.iter().filter(|of| usize::from(**of) == server).count()).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{servers}: {counts:?}");
            let moved = before.iter().zip(&of).filter(|(before, after)| before != after);
            assert!(moved.clone().all(|(_, after)| usize::from(*after) == servers - 1), "{servers}");
            assert_eq!(moved.count(), usize::from(PARTITIONS) / servers);
            assert_eq!(of[0], 0);
            before = of;
        }
    }
}
