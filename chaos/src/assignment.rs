//! Assigns rooms to members, and senders to rooms. Pure.

/// Sizes of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sizes {
    /// Rooms.
    pub rooms: usize,
    /// Members; each is in one room at least.
    pub members: usize,
    /// How many of them send.
    pub senders: usize,
}

/// One member's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Rooms that the member is in.
    pub rooms: Vec<usize>,
    /// Indices into `rooms` of the rooms that it sends to; empty for most members.
    pub sends: Vec<usize>,
}

/// Spreads members over the rooms in turn. Every room has at least two senders (one if the run has only one). With
/// fewer senders than twice the rooms, they are mostly neighbours in number and so start on different nodes: an order
/// that all members agree on proves little if only one node writes.
pub fn assign(sizes: Sizes) -> Vec<Assignment> {
    let home = |member: usize| Assignment { rooms: vec![member % sizes.rooms], sends: Vec::new() };
    let mut assignments: Vec<Assignment> = (0..sizes.members).map(home).collect();
    let senders = sizes.senders.min(sizes.members);
    if senders == 0 {
        return assignments;
    }
    let turns = (2 * sizes.rooms).max(senders);
    for turn in 0..turns {
        let room = if turns == senders { turn % sizes.rooms } else { turn / 2 % sizes.rooms };
        let part = &mut assignments[turn % senders];
        let seat = part.rooms.iter().position(|known| *known == room).unwrap_or_else(|| {
            part.rooms.push(room);
            part.rooms.len() - 1
        });
        if !part.sends.contains(&seat) {
            part.sends.push(seat);
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everybody_is_somewhere_and_every_room_has_two_senders(
            rooms in 1usize..60,
            more in 0usize..300,
            senders in 2usize..50,
        ) {
            let members = rooms.max(senders) + more;
            let assignments = assign(Sizes { rooms, members, senders });
            prop_assert_eq!(assignments.len(), members);
            for (member, part) in assignments.iter().enumerate() {
                prop_assert_eq!(part.rooms[0], member % rooms);
                prop_assert_eq!(!part.sends.is_empty(), member < senders);
                prop_assert!(part.sends.iter().all(|seat| *seat < part.rooms.len()));
            }
            if 2 * rooms >= senders {
                for room in 0..rooms {
                    let sends = |part: &&Assignment| part.sends.iter().any(|seat| part.rooms[*seat] == room);
                    prop_assert!(assignments.iter().filter(sends).count() >= 2, "room {}", room);
                }
            }
        }
    }
}
