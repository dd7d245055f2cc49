//! Events that a member receives: messages, pages, resets, and announcements of absence.

use super::{JoinState, Member, Since};
use crate::{
    record::{Observation, Origin},
    wire::{self, Departure, NewMessage, OfRoom},
};

impl Member {
    pub(super) fn new_message(&mut self, data: &str) {
        let Ok(message) = wire::argument::<NewMessage<'_>>(data) else {
            return self.breach("a malformed new-message");
        };
        let Some(index) = self.membership(&message.room) else {
            return self.breach("a new-message of a room that it never joined");
        };
        let now = self.shared.now_us();
        let inside = self.memberships[index].state == JoinState::Joined;
        let (number, origin) =
            self.record(
                index,
                &message,
                |number| if inside { Observation::Live(number) } else { Observation::Early(number) },
            );
        self.memberships[index].since = Since::Message(number);
        if let Some(at_us) = origin.filter(|_| self.measured && inside) {
            self.shared.latency.lock().add(now.saturating_sub(at_us));
        }
    }

    /// Records a delivery; returns its number and, if it is ours, when it was first sent.
    fn record(
        &self,
        index: usize,
        message: &NewMessage<'_>,
        observation: impl FnOnce(u32) -> Observation,
    ) -> (u32, Option<u64>) {
        let membership = &self.memberships[index];
        let mut room = self.shared.rooms[membership.room].lock();
        let number = room.intern(&message.id, &message.content);
        room.observe(membership.place, self.shared.now_ms(), observation(number));
        (number, self.origin(&room.messages[number as usize].origin, message))
    }

    fn origin(&self, origin: &Origin, message: &NewMessage<'_>) -> Option<u64> {
        let Origin::Ours { key, at_us } = origin else { return None };
        if self.shared.users.get(key.sender as usize).is_none_or(|user| **user != *message.sender.id) {
            self.breach("a message has the wrong sender");
        }
        Some(*at_us)
    }

    pub(super) fn page(&mut self, data: &str) {
        let Ok((messages, page)) = wire::page(data) else { return self.breach("a malformed page") };
        let Some(index) = self.membership(&page.room) else {
            return self.breach("a page of a room that it never joined");
        };
        if self.memberships[index].state != JoinState::Joining || !self.memberships[index].more {
            return self.breach("a page without a join");
        }
        if messages.len() > 100 {
            self.breach("a page of more than 100 messages");
        }
        let room_number = self.memberships[index].room;
        for message in &messages {
            let mut room = self.shared.rooms[room_number].lock();
            let number = room.intern(&message.id, &message.content);
            self.origin(&room.messages[number as usize].origin, message);
            drop(room);
            self.memberships[index].pages.push(number);
        }
        self.memberships[index].more = page.more;
    }

    pub(super) fn reset(&mut self, data: &str) {
        let Ok(OfRoom { room, position: Some(position) }) = wire::argument(data) else {
            return self.breach("a malformed room-reset");
        };
        let Some(index) = self.membership(&room) else { return self.breach("a reset of a room that it never joined") };
        let membership = &mut self.memberships[index];
        let mut room = self.shared.rooms[membership.room].lock();
        let number = room.position(&position);
        room.observe(membership.place, self.shared.now_ms(), Observation::Reset(number));
        membership.since = Since::Position(position.into_owned());
    }

    /// Another user was announced as gone.
    pub(super) fn departure(&self, event: &str, data: &str) {
        let Some(presence) = &self.shared.presence else { return };
        let Ok(Departure { user_id }) = wire::argument(data) else {
            return self.breach(&format!("a malformed {event}"));
        };
        if presence.lock().is_false(&user_id, self.shared.elapsed()) {
            self.breach(&format!("{event} of user {user_id}, who was not away for longer than the grace"));
        }
    }
}
