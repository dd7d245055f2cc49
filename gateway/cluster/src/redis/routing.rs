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
    /// The partitions that have the leases of nodes: see [`crate::membership`].
    pub(crate) homes: Box<[Partition]>,
}

impl Routing {
    /// Each of these servers, at most as many as there are partitions, has an equal share of them.
    pub(crate) fn shared_by(servers: Box<[Arc<Server>]>) -> Self {
        let (of, homes) = shares(servers.len());
        Self { servers, of, homes }
    }

    /// Each partition has this server, of a Redis Cluster.
    pub(crate) fn of_cluster(server: impl Fn(Partition) -> Arc<Server>) -> Self {
        let (mut servers, mut of) = (Vec::<Arc<Server>>::new(), [0; PARTITIONS as usize]);
        for partition in Partition::all() {
            let server = server(partition);
            let index = servers.iter().position(|other| Arc::ptr_eq(other, &server)).unwrap_or_else(|| {
                servers.push(server);
                servers.len() - 1
            });
            // There are at most as many servers as partitions.
            of[partition.index()] = u8::try_from(index).unwrap_or_default();
        }
        Self::of(servers.into(), of)
    }

    /// Each partition is at the server with this index. The leases are in [`Partition::FIRST`].
    pub(crate) fn of(servers: Box<[Arc<Server>]>, of: [u8; PARTITIONS as usize]) -> Self {
        Self { servers, of, homes: [Partition::FIRST].into() }
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

    /// The partitions of each server.
    pub(crate) fn parts(&self) -> impl Iterator<Item = PartitionSet> {
        (0..self.servers.len()).map(|index| self.partitions_of(index)).filter(|part| !part.is_empty())
    }
}

/// The index of the server of each partition, for so many servers, and each server's home: a partition that it keeps
/// whatever the number of servers. Each has as many as any other, or one more. With one more server at the end, only that
/// one's partitions move. The first one's home is [`Partition::FIRST`].
fn shares(servers: usize) -> ([u8; PARTITIONS as usize], Box<[Partition]>) {
    let mut of = [0; PARTITIONS as usize];
    let mut homes = vec![Partition::FIRST];
    for new in 1..servers {
        for _ in 0..usize::from(PARTITIONS) / (new + 1) {
            let count = |server: usize| of.iter().filter(|of| usize::from(**of) == server).count();
            // The one with the most, the first of these, gives up one of its partitions, spread over all.
            let largest = (0..new).max_by_key(|server| (count(*server), usize::MAX - server)).unwrap_or_default();
            let own = Partition::all().filter(|one| usize::from(of[one.index()]) == largest && !homes.contains(one));
            let given = own.min_by_key(|one| ((one.index() * 2_654_435_761) ^ (new * 40_503)) % 65_521);
            if let (Some(partition), Ok(index)) = (given, u8::try_from(new)) {
                of[partition.index()] = index;
                if homes.len() == new {
                    homes.push(partition);
                }
            }
        }
    }
    (of, homes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_equal_and_one_more_server_takes_only_its_share() {
        let (mut before, mut before_homes) = shares(1);
        for servers in 2..=usize::from(PARTITIONS) {
            let (of, homes) = shares(servers);
            let counts: Vec<_> =
                (0..servers).map(|server| of.iter().filter(|of| usize::from(**of) == server).count()).collect();
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{servers}: {counts:?}");
            let moved = before.iter().zip(&of).filter(|(before, after)| before != after);
            assert!(moved.clone().all(|(_, after)| usize::from(*after) == servers - 1), "{servers}");
            assert_eq!(moved.count(), usize::from(PARTITIONS) / servers);
            let at_home = homes.iter().enumerate().all(|(index, home)| usize::from(of[home.index()]) == index);
            assert!(at_home && homes.len() == servers && homes[0] == Partition::FIRST, "{homes:?}");
            assert!(before_homes.iter().zip(&homes).all(|(before, after)| before == after), "a home never moves");
            before_homes = homes;
            before = of;
        }
    }
}
