//! A member of rooms: joins, records its observations, and rejoins with `since` after a reconnect.
//!
//! It follows PROTOCOL. Pages count only once the join is acknowledged: if the connection is lost before, they are
//! dropped and the next join asks from the same position. A member that was recovered is in its rooms, and joins none.
//! Some members also send: [`Sender`].

mod incoming;
mod sender;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    client::{Handler, Outbox},
    record::{Join, Observation},
    shared::Shared,
    wire::{self, Answer, JoinRoom},
};
pub use sender::{Load, Sender};

/// Pause before a refused join is retried, if the answer has no `retryAfterMs`.
const RETRY: Duration = Duration::from_millis(400);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JoinState {
    /// Not joined, or refused temporarily: join at that time.
    Out(Instant),
    /// `join-room` was sent.
    Joining,
    Joined,
}

/// A member's place in a room.
struct Membership {
    room: usize,
    /// Index of the member's trace in the room.
    place: usize,
    name: String,
    /// The `since` of the next join: a position, or the id of the last message that the member received.
    since: Option<String>,
    state: JoinState,
    /// Messages in the pages of the join under way.
    pages: Vec<u32>,
    /// Whether another page (or the first) must come before the join's ack.
    more: bool,
}

impl Membership {
    fn is_joined(&self) -> bool {
        self.state == JoinState::Joined
    }
}

/// The request that an ack answers.
#[derive(Clone, Copy)]
enum Pending {
    /// The join of the membership with that index.
    Join(usize),
    /// The message with that sequence.
    Message(u32),
}

/// One client.
pub struct Member {
    number: u32,
    shared: Arc<Shared>,
    memberships: Vec<Membership>,
    sender: Option<Sender>,
    pending: HashMap<u32, Pending>,
    /// Number of the current connection, from 1.
    connection: u32,
    /// When it lost the connection while in all its rooms; none once it is in all of them again.
    lost_at: Option<Instant>,
    /// The event that announced the DISCONNECT, for the error's text.
    disconnect_reason: String,
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
        let membership = |&(room, place): &(usize, usize)| {
            let name = shared.rooms[room].lock().name.clone();
            let state = JoinState::Out(Instant::now());
            Membership { room, place, name, since: None, state, pages: Vec::new(), more: true }
        };
        Self {
            number,
            memberships: rooms.iter().map(membership).collect(),
            shared,
            sender,
            pending: HashMap::new(),
            connection: 0,
            lost_at: None,
            disconnect_reason: String::new(),
            measured: true,
        }
    }

    fn is_joined(&self) -> bool {
        self.memberships.iter().all(Membership::is_joined)
    }

    fn observe(&self, membership: &Membership, observation: Observation) {
        self.shared.rooms[membership.room].lock().observe(membership.place, self.shared.now_ms(), observation);
    }

    fn breach(&self, text: &str) {
        self.shared.breach(|| format!("{}: {text}", name(self.number)));
    }

    fn join(&mut self, index: usize, outbox: &mut Outbox) {
        let membership = &mut self.memberships[index];
        let payload = JoinRoom { room: &membership.name, since: membership.since.as_deref() };
        if let Some(number) = outbox.emit("join-room", &payload) {
            self.pending.insert(number, Pending::Join(index));
            (membership.state, membership.more) = (JoinState::Joining, true);
            membership.pages.clear();
        }
    }

    fn joined(&mut self, index: usize, answer: &Answer) {
        let Some(position) = &answer.position else { return self.breach("a join was acknowledged without `position`") };
        if self.memberships[index].more {
            self.breach("a join was acknowledged before its last page");
        }
        let membership = &mut self.memberships[index];
        let join = match (&membership.since, answer.recovered) {
            (None, _) => Join::Fresh,
            (_, Some(true)) => Join::Recovered,
            _ => Join::NotRecovered,
        };
        let at = self.shared.now_ms();
        let mut room = self.shared.rooms[membership.room].lock();
        room.observe(membership.place, at, Observation::Joined(join));
        for message in &membership.pages {
            room.observe(membership.place, at, Observation::Page(*message));
        }
        match membership.pages.last() {
            Some(last) => membership.since = Some(room.messages[*last as usize].id.to_string()),
            None if join != Join::Recovered => membership.since = Some(position.clone()),
            None => {}
        }
        membership.state = JoinState::Joined;
        self.shared.figures.lock().joined += 1;
        drop(room);
        if self.is_joined() {
            self.is_back();
        }
        if join == Join::NotRecovered && answer.recovered.is_none() {
            self.breach("a join with `since` was acknowledged without `recovered`");
        }
    }

    /// It is in all of its rooms.
    fn is_back(&mut self) {
        let Some(lost_at) = self.lost_at.take() else { return };
        if let Some(presence) = &self.shared.presence {
            presence.lock().back(self.number, self.shared.elapsed());
        }
        self.shared.absences.lock().push(lost_at.elapsed());
    }

    fn refused(&mut self, index: usize, answer: &Answer) {
        self.shared.error("join-room", answer.code.as_deref().unwrap_or("?"));
        let pause = answer.retry_after_ms.map_or(RETRY, Duration::from_millis);
        self.memberships[index].state = JoinState::Out(Instant::now() + pause);
    }

    fn send(&mut self, outbox: &mut Outbox) {
        let Some(sender) = &mut self.sender else { return };
        sender.send_due(&self.shared, self.connection, &self.memberships, |payload, sequence| {
            let number = outbox.emit("send-message", payload);
            number.is_some_and(|number| self.pending.insert(number, Pending::Message(sequence)).is_none())
        });
    }
}

impl Handler for Member {
    fn connected(&mut self, recovered: bool, outbox: &mut Outbox) {
        self.connection += 1;
        {
            let mut figures = self.shared.figures.lock();
            figures.reconnects += u64::from(self.connection > 1);
            figures.recovered += u64::from(recovered);
        }
        if recovered {
            for membership in &mut self.memberships {
                membership.state = JoinState::Joined;
            }
            for membership in &self.memberships {
                self.observe(membership, Observation::Joined(Join::Recovered));
            }
            self.shared.figures.lock().joined += self.memberships.len();
            return self.is_back();
        }
        for index in 0..self.memberships.len() {
            self.join(index, outbox);
        }
    }

    fn event(&mut self, name: &str, data: &str, _outbox: &mut Outbox) {
        match name {
            "new-message" => self.new_message(data),
            "recent-messages" => self.page(data),
            "room-reset" => self.reset(data),
            "user:offline" | "user-left" => self.departure(name, data),
            "session:replaced" | "token:expired" => self.disconnect_reason = format!(" after {name}"),
            "error" => self.shared.error("event", &data.chars().take(160).collect::<String>()),
            _ => {}
        }
    }

    fn ack(&mut self, number: u32, data: &str, outbox: &mut Outbox) {
        let Some(pending) = self.pending.remove(&number) else {
            return self.breach("an ack without a request, or a second ack");
        };
        let Some(answer) = self.parsed("ack", wire::answer(data)) else { return };
        let ok = answer.status == "ok";
        match pending {
            Pending::Join(index) if ok => self.joined(index, &answer),
            Pending::Join(index) => self.refused(index, &answer),
            Pending::Message(sequence) => {
                let Some(sender) = &mut self.sender else { return };
                if let Some(outside) = sender.answered(&self.shared, sequence, &answer)
                    && self.memberships[outside].is_joined()
                {
                    self.breach("not_in_room, although it had joined");
                    self.shared.figures.lock().joined -= 1;
                    self.memberships[outside].state = JoinState::Out(Instant::now());
                }
            }
        }
        self.send(outbox);
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        let now = Instant::now();
        for index in 0..self.memberships.len() {
            if matches!(self.memberships[index].state, JoinState::Out(at) if at <= now) {
                self.join(index, outbox);
            }
        }
        self.send(outbox);
    }

    fn pace(&self) -> Duration {
        self.sender.as_ref().map_or(Duration::from_millis(250), Sender::pace)
    }

    fn disconnected(&mut self) -> bool {
        self.pending.clear();
        // Pages of a join that was not acknowledged are dropped, but their offsets were taken.
        let may_be_recovered = self.is_joined();
        if may_be_recovered {
            self.lost_at = Some(Instant::now());
            if let Some(presence) = &self.shared.presence {
                presence.lock().left(self.number, self.shared.elapsed());
            }
        }
        for membership in self.memberships.iter().filter(|membership| membership.is_joined()) {
            self.shared.figures.lock().joined -= 1;
            self.observe(membership, Observation::Disconnected);
        }
        let now = Instant::now();
        self.memberships.iter_mut().for_each(|membership| membership.state = JoinState::Out(now));
        if let Some(sender) = &mut self.sender {
            sender.disconnected();
        }
        may_be_recovered
    }

    fn rejected(&mut self, why: &str) {
        self.shared.error("rejected", &format!("{why}{}", self.disconnect_reason));
        for membership in &self.memberships {
            self.observe(membership, Observation::Rejected);
        }
    }
}
