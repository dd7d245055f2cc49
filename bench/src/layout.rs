//! The members and senders of each room.
//!
//! Sockets go to the servers in turn, so every room has members on every server, and the senders of a run are spread over
//! the servers evenly.

/// Rooms of equal size, and senders.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Number of rooms.
    pub rooms: usize,
    /// Members of each room.
    pub size: usize,
    /// Senders in each room.
    pub senders: usize,
}

impl Layout {
    /// That many sockets in rooms of `size`; a rest that fills no room gets none. Each room has `senders`.
    pub fn new(sockets: usize, size: usize, senders: usize) -> Self {
        Self { rooms: sockets.checked_div(size).unwrap_or(0), size, senders: senders.min(size) }
    }

    /// The room of a socket; none if it is in no room.
    pub fn room(&self, socket: usize) -> Option<usize> {
        socket.checked_div(self.size).filter(|room| *room < self.rooms)
    }

    /// Index of the socket that is the given sender. Senders are numbered through all rooms. Neighbours are on
    /// different servers if there are two.
    pub fn socket_of(&self, sender: usize) -> usize {
        let (room, place) = (sender / self.senders.max(1), sender % self.senders.max(1));
        let stride = self.size / self.senders.max(1);
        let first = room * self.size + place * stride;
        // Take an even socket and an odd one in turn: with two servers, one on each.
        if stride > 1 { first + (first + room + place) % 2 } else { first }
    }

    /// The place of a sender among the senders of a room; none if it is a sender of another room.
    pub fn place(&self, sender: usize, room: usize) -> Option<usize> {
        sender.checked_sub(room * self.senders).filter(|place| *place < self.senders)
    }

    /// Number of senders in all rooms.
    pub fn all_senders(&self) -> usize {
        self.rooms * self.senders
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn senders_are_different_members_of_their_rooms_and_spread_over_two_servers() {
        for (sockets, size, senders) in [(1_000, 1_000, 10), (5_000, 10, 1), (50, 10, 2), (20, 10, 10), (7, 3, 1)] {
            let layout = Layout::new(sockets, size, senders);
            let all = layout.all_senders();
            let found: BTreeSet<usize> = (0..all).map(|sender| layout.socket_of(sender)).collect();
            assert_eq!(found.len(), all);
            for sender in 0..all {
                let room = layout.room(layout.socket_of(sender)).unwrap();
                assert_eq!(layout.place(sender, room), Some(sender - room * senders));
                assert_eq!(layout.place(sender, room + 1), None);
            }
            let even = found.iter().filter(|socket| **socket % 2 == 0).count();
            assert!(even.abs_diff(all - even) <= 1, "{even} of {all}");
        }
    }

    #[test]
    fn a_rest_is_in_no_room() {
        let layout = Layout::new(25, 10, 1);
        assert_eq!((layout.rooms, layout.room(19), layout.room(20)), (2, Some(1), None));
        assert_eq!(Layout::new(25, 0, 0).room(3), None);
    }
}
