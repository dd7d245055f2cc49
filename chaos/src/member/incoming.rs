//! Events that a member receives: messages, pages, resets, and announcements of absence.

use std::time::Duration;

use super::{JoinState, Member};
use crate::{
    record::{Observation, Origin},
    wire::{self, Departure, NewMessage, Reset},
};

impl Member {
    /// The parsed value; a failure is a breach.
    pub(super) fn parsed<T>(&self, what: &str, parsed: serde_json::Result<T>) -> Option<T> {
        parsed.inspect_err(|_| self.breach(&format!("a malformed {what}"))).ok()
    }

    /// Index of the membership in that room; an event of another room is a breach.
    fn membership(&self, what: &str, room: &str) -> Option<usize> {
        let found = self.memberships.iter().position(|membership| membership.name == room);
        if found.is_none() {
            self.breach(&format!("a {what} of a room that it never joined"));
        }
        found
    }

    pub(super) fn new_message(&mut self, data: &str) {
        let Some(message) = self.parsed("new-message", wire::argument::<NewMessage>(data)) else { return };
        let Some(index) = self.membership("new-message", &message.room) else { return };
        let membership = &self.memberships[index];
        let inside = membership.is_joined();
        let (number, at_us) = self.store(membership.room, &message);
        self.observe(membership, if inside { Observation::Live(number) } else { Observation::Early(number) });
        if let Some(at_us) = at_us.filter(|_| self.measured && inside) {
            self.shared.latency.lock().push(self.shared.elapsed().saturating_sub(Duration::from_micros(at_us)));
        }
        self.memberships[index].since = Some(message.id);
    }

    /// Returns a message's number in its room and, if it is ours, when it was first sent.
    fn store(&self, room: usize, message: &NewMessage) -> (u32, Option<u64>) {
        let mut room = self.shared.rooms[room].lock();
        let number = room.intern(&message.id, &message.content);
        let Origin::Ours { key, at_us } = &room.messages[number as usize].origin else { return (number, None) };
        if self.shared.users.get(key.sender as usize) != Some(&message.sender.id) {
            self.breach("a message has the wrong sender");
        }
        (number, Some(*at_us))
    }

    pub(super) fn page(&mut self, data: &str) {
        let Some((messages, page)) = self.parsed("page", wire::page(data)) else { return };
        let Some(index) = self.membership("page", &page.room) else { return };
        if self.memberships[index].state != JoinState::Joining || !self.memberships[index].more {
            return self.breach("a page without a join");
        }
        if messages.len() > 100 {
            self.breach("a page of more than 100 messages");
        }
        for message in &messages {
            let (number, _) = self.store(self.memberships[index].room, message);
            self.memberships[index].pages.push(number);
        }
        self.memberships[index].more = page.more;
    }

    pub(super) fn reset(&mut self, data: &str) {
        let Some(Reset { room, position }) = self.parsed("room-reset", wire::argument(data)) else { return };
        let Some(index) = self.membership("room-reset", &room) else { return };
        let membership = &mut self.memberships[index];
        let mut room = self.shared.rooms[membership.room].lock();
        let number = room.position(&position);
        room.observe(membership.place, self.shared.now_ms(), Observation::Reset(number));
        membership.since = Some(position);
    }

    /// Another user was announced as gone.
    pub(super) fn departure(&self, event: &str, data: &str) {
        let Some(presence) = &self.shared.presence else { return };
        let Some(Departure { user_id }) = self.parsed(event, wire::argument(data)) else { return };
        if presence.lock().is_false(&user_id, self.shared.elapsed()) {
            self.breach(&format!("{event} of user {user_id}, who was not away for longer than the grace"));
        }
    }
}
