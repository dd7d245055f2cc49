//! A member of rooms: joins, records its observations, and rejoins with `since` after a reconnect.
//!
//! It behaves as PROTOCOL tells a client to. Pages count only once the join is acknowledged: if the connection is lost
//! before, they are left out and the next join asks from the same position. Some members also send: [`Sender`].

mod sender;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    client::{Behaviour, Outbox},
    record::{Join, Origin, What},
    shared::Shared,
    wire::{self, Answer, Departure, JoinRoom, NewMessage, OfRoom},
};
pub use sender::{Load, Sender};

/// Pause before a refused join is retried, if the answer has no `retryAfterMs`.
const RETRY: Duration = Duration::from_millis(400);

/// Start of the messages that a member asks for in a join.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Since {
    Nothing,
    Position(String),
    /// Number of the last message that the member saw.
    Message(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Not joined, or refused for now: join at that time.
    Out(Instant),
    /// `join-room` was sent.
    Asked,
    In,
}

/// A member's place in a room.
struct Seat {
    room: usize,
    /// Index of the member's trace in the room.
    place: usize,
    name: String,
    since: Since,
    standing: Standing,
    /// Messages in the pages of the join under way.
    pages: Vec<u32>,
    /// Whether another page (or the first) must come before the join's ack.
    more: bool,
}

/// The request that an ack answers.
#[derive(Clone, Copy)]
enum Pending {
    /// The join of the seat with that index.
    Join(usize),
    /// The message with that sequence.
    Message(u32),
}

/// One client.
pub struct Member {
    number: u32,
    shared: Arc<Shared>,
    seats: Vec<Seat>,
    sender: Option<Sender>,
    pending: HashMap<u32, Pending>,
    /// Number of the current connection, from 1.
    connection: u32,
    /// When it lost the connection while in all its rooms, in microseconds of the run; none once it is in all of them
    /// again.
    lost_at_us: Option<u64>,
    /// The event that announced the DISCONNECT, for the error's text.
    farewell: String,
    /// Whether its deliveries count in the latency.
    pub measured: bool,
}

/// The name of a member in reports.
pub fn name(number: u32) -> String {
    format!("m{number}")
}

impl Member {
    /// A member of these rooms, given as (room, index of its trace there).
    pub fn new(number: u32, rooms: &[(usize, usize)], sender: Option<Sender>, shared: Arc<Shared>) -> Self {
        let seat = |&(room, place): &(usize, usize)| {
            let name = shared.rooms[room].lock().name.clone();
            let standing = Standing::Out(Instant::now());
            Seat { room, place, name, since: Since::Nothing, standing, pages: Vec::new(), more: true }
        };
        let seats = rooms.iter().map(seat).collect();
        let pending = HashMap::new();
        Self {
            number,
            shared,
            seats,
            sender,
            pending,
            connection: 0,
            lost_at_us: None,
            farewell: String::new(),
            measured: true,
        }
    }

    fn seat(&self, room: &str) -> Option<usize> {
        self.seats.iter().position(|seat| seat.name == room)
    }

    fn breach(&self, what: &str) {
        self.shared.breach(|| format!("{}: {what}", name(self.number)));
    }

    fn join(&mut self, index: usize, outbox: &mut Outbox) {
        let seat = &mut self.seats[index];
        let room = self.shared.rooms[seat.room].lock();
        let since = match &seat.since {
            Since::Nothing => None,
            Since::Position(position) => Some(position.as_str()),
            Since::Message(message) => Some(&*room.messages[*message as usize].id),
        };
        if let Some(number) = outbox.emit("join-room", &JoinRoom { room: &seat.name, since }) {
            self.pending.insert(number, Pending::Join(index));
            (seat.standing, seat.more) = (Standing::Asked, true);
            seat.pages.clear();
        }
    }

    fn joined(&mut self, index: usize, answer: &Answer<'_>) {
        let Some(position) = &answer.position else { return self.breach("a join was acknowledged without `position`") };
        if self.seats[index].more {
            self.breach("a join was acknowledged before its last page");
        }
        let seat = &mut self.seats[index];
        let join = match (&seat.since, answer.recovered) {
            (Since::Nothing, _) => Join::Fresh,
            (_, Some(true)) => Join::Recovered,
            _ => Join::NotRecovered,
        };
        let at = self.shared.now_ms();
        let mut room = self.shared.rooms[seat.room].lock();
        room.saw(seat.place, at, What::Joined(join));
        for message in &seat.pages {
            room.saw(seat.place, at, What::Page(*message));
        }
        match seat.pages.last() {
            Some(last) => seat.since = Since::Message(*last),
            None if join != Join::Recovered => seat.since = Since::Position(position.to_string()),
            None => {}
        }
        seat.standing = Standing::In;
        self.shared.figures.joined.fetch_add(1, Ordering::Relaxed);
        drop(room);
        if self.seats.iter().all(|seat| seat.standing == Standing::In)
            && let Some(lost_at_us) = self.lost_at_us.take()
        {
            if let Some(presence) = &self.shared.presence {
                presence.lock().back(self.number, self.shared.elapsed());
            }
            self.shared.absences.lock().add(self.shared.now_us().saturating_sub(lost_at_us));
        }
        if join == Join::NotRecovered && answer.recovered.is_none() {
            self.breach("a join with `since` was acknowledged without `recovered`");
        }
    }

    fn new_message(&mut self, data: &str) {
        let Ok(message) = wire::argument::<NewMessage<'_>>(data) else {
            return self.breach("a new-message could not be read");
        };
        let Some(index) = self.seat(&message.room) else {
            return self.breach("a new-message of a room that it never joined");
        };
        let now = self.shared.now_us();
        let inside = self.seats[index].standing == Standing::In;
        let (number, origin) =
            self.note(index, &message, |number| if inside { What::Live(number) } else { What::Early(number) });
        self.seats[index].since = Since::Message(number);
        if let Some(at_us) = origin.filter(|_| self.measured && inside) {
            self.shared.latency.lock().add(now.saturating_sub(at_us));
        }
    }

    /// Records a delivery; returns its number and, if it is ours, when it was first sent.
    fn note(&self, index: usize, message: &NewMessage<'_>, what: impl FnOnce(u32) -> What) -> (u32, Option<u64>) {
        let seat = &self.seats[index];
        let mut room = self.shared.rooms[seat.room].lock();
        let number = room.intern(&message.id, &message.content);
        room.saw(seat.place, self.shared.now_ms(), what(number));
        (number, self.origin(&room.messages[number as usize].origin, message))
    }

    fn origin(&self, origin: &Origin, message: &NewMessage<'_>) -> Option<u64> {
        let Origin::Ours { key, at_us } = origin else { return None };
        if self.shared.users.get(key.sender as usize).is_none_or(|user| **user != *message.sender.id) {
            self.breach("a message names another sender than it has");
        }
        Some(*at_us)
    }

    fn page(&mut self, data: &str) {
        let Ok((messages, page)) = wire::page(data) else { return self.breach("a page could not be read") };
        let Some(index) = self.seat(&page.room) else { return self.breach("a page of a room that it never joined") };
        if self.seats[index].standing != Standing::Asked || !self.seats[index].more {
            return self.breach("a page that belongs to no join");
        }
        if messages.len() > 100 {
            self.breach("a page of more than 100 messages");
        }
        let room_number = self.seats[index].room;
        for message in &messages {
            let mut room = self.shared.rooms[room_number].lock();
            let number = room.intern(&message.id, &message.content);
            self.origin(&room.messages[number as usize].origin, message);
            drop(room);
            self.seats[index].pages.push(number);
        }
        self.seats[index].more = page.more;
    }

    fn reset(&mut self, data: &str) {
        let Ok(OfRoom { room, position: Some(position) }) = wire::argument(data) else {
            return self.breach("a room-reset could not be read");
        };
        let Some(index) = self.seat(&room) else { return self.breach("a reset of a room that it never joined") };
        let seat = &mut self.seats[index];
        let mut room = self.shared.rooms[seat.room].lock();
        let number = room.position(&position);
        room.saw(seat.place, self.shared.now_ms(), What::Reset(number));
        seat.since = Since::Position(position.into_owned());
    }

    /// Another user was announced as gone.
    fn departure(&self, event: &str, data: &str) {
        let Some(presence) = &self.shared.presence else { return };
        let Ok(Departure { user_id }) = wire::argument(data) else {
            return self.breach(&format!("a {event} could not be read"));
        };
        if presence.lock().is_false(&user_id, self.shared.elapsed()) {
            self.breach(&format!("{event} of user {user_id}, who was not away for the grace"));
        }
    }

    fn refused(&mut self, index: usize, answer: &Answer<'_>) {
        self.shared.error("join-room", answer.code.as_deref().unwrap_or("?"));
        let pause = answer.retry_after_ms.map_or(RETRY, Duration::from_millis);
        self.seats[index].standing = Standing::Out(Instant::now() + pause);
    }

    fn send(&mut self, outbox: &mut Outbox) {
        let Some(sender) = &mut self.sender else { return };
        let inside = |seat: usize| self.seats[seat].standing == Standing::In;
        let name = |seat: usize| (self.seats[seat].room, self.seats[seat].name.as_str());
        let pending = &mut self.pending;
        sender.pump(&self.shared, self.connection, inside, name, |payload, sequence| {
            let number = outbox.emit("send-message", payload);
            number.is_some_and(|number| pending.insert(number, Pending::Message(sequence)).is_none())
        });
    }
}

impl Behaviour for Member {
    fn connected(&mut self, _node: usize, outbox: &mut Outbox) {
        self.connection += 1;
        if self.connection > 1 {
            self.shared.figures.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        for index in 0..self.seats.len() {
            self.join(index, outbox);
        }
    }

    fn event(&mut self, name: &str, data: &str, _outbox: &mut Outbox) {
        match name {
            "new-message" => self.new_message(data),
            "recent-messages" => self.page(data),
            "room-reset" => self.reset(data),
            "user:offline" | "user-left" => self.departure(name, data),
            "session:replaced" | "token:expired" => self.farewell = format!(" after {name}"),
            "error" => self.shared.error("event", &data.chars().take(160).collect::<String>()),
            _ => {}
        }
    }

    fn ack(&mut self, number: u32, data: &str, outbox: &mut Outbox) {
        let Some(pending) = self.pending.remove(&number) else {
            return self.breach("an ack that answers nothing, or a second one");
        };
        let Ok(answer) = wire::answer(data) else { return self.breach("an ack could not be read") };
        let ok = answer.status == "ok";
        match pending {
            Pending::Join(index) if ok => self.joined(index, &answer),
            Pending::Join(index) => self.refused(index, &answer),
            Pending::Message(sequence) => {
                let Some(sender) = &mut self.sender else { return };
                let outside = sender.answered(&self.shared, sequence, &answer);
                if let Some(seat) = outside.filter(|seat| self.seats[*seat].standing == Standing::In) {
                    self.breach("not_in_room, though it was in and never left");
                    self.shared.figures.joined.fetch_sub(1, Ordering::Relaxed);
                    self.seats[seat].standing = Standing::Out(Instant::now());
                }
            }
        }
        self.send(outbox);
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        let now = Instant::now();
        for index in 0..self.seats.len() {
            if matches!(self.seats[index].standing, Standing::Out(at) if at <= now) {
                self.join(index, outbox);
            }
        }
        self.send(outbox);
    }

    fn pace(&self) -> Duration {
        self.sender.as_ref().map_or(Duration::from_millis(250), Sender::pace)
    }

    fn disconnected(&mut self) {
        self.pending.clear();
        if self.seats.iter().all(|seat| seat.standing == Standing::In) {
            self.lost_at_us = Some(self.shared.now_us());
            if let Some(presence) = &self.shared.presence {
                presence.lock().left(self.number, self.shared.elapsed());
            }
        }
        let now = Instant::now();
        for seat in &mut self.seats {
            if seat.standing == Standing::In {
                self.shared.figures.joined.fetch_sub(1, Ordering::Relaxed);
                self.shared.rooms[seat.room].lock().saw(seat.place, self.shared.now_ms(), What::Away);
            }
            seat.standing = Standing::Out(now);
        }
        if let Some(sender) = &mut self.sender {
            sender.disconnected();
        }
    }

    fn sent_away(&mut self, why: &str) {
        self.shared.error("sent away", &format!("{why}{}", self.farewell));
        for seat in &self.seats {
            self.shared.rooms[seat.room].lock().saw(seat.place, self.shared.now_ms(), What::SentAway);
        }
    }
}
