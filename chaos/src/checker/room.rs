//! The order of a room's messages, and the checks that do not depend on a member.

use std::collections::HashMap;

use super::{Kind, Rules, Verdict, Violation};
use crate::record::{Key, Origin, Room, Sent, Stored};

/// A room's messages in the order of their ids.
pub struct Order {
    /// Place of each message, by its number.
    pub rank: Vec<u32>,
    /// Number of the message in each place.
    pub message: Vec<u32>,
    /// Whether the message in that place was acknowledged.
    pub acked: Vec<bool>,
    /// For a message that is stored several times: its first place, by each later place.
    pub twin: HashMap<u32, u32>,
    /// Last place with an acknowledged message.
    pub last_acked: Option<u32>,
    /// Whether Redis lost the message in that place after it had stored it.
    pub vanished: Vec<bool>,
}

impl Order {
    /// Sorts the room's messages by id.
    pub fn of(room: &Room) -> Self {
        let count = u32::try_from(room.messages.len()).unwrap_or(u32::MAX);
        let mut message: Vec<u32> = (0..count).collect();
        message.sort_by(|a, b| room.messages[*a as usize].id.cmp(&room.messages[*b as usize].id));
        let mut rank = vec![0; message.len()];
        let mut first: HashMap<&Origin, u32> = HashMap::with_capacity(message.len());
        let mut twin = HashMap::new();
        for (place, number) in (0u32..).zip(&message) {
            rank[*number as usize] = place;
            let before = *first.entry(&room.messages[*number as usize].origin).or_insert(place);
            if before != place {
                twin.insert(place, before);
            }
        }
        let mut acked = vec![false; message.len()];
        for ack in &room.acked {
            acked[rank[ack.message as usize] as usize] = true;
        }
        let last_acked = acked.iter().rposition(|acked| *acked).and_then(|place| u32::try_from(place).ok());
        let ids = message.iter().map(|number| &*room.messages[*number as usize].id);
        let vanished = vanished(&ids.collect::<Vec<_>>());
        Self { rank, message, acked, twin, last_acked, vanished }
    }

    /// Whether the message in that place is of an earlier epoch than the one in the other.
    pub fn is_of_earlier_epoch(&self, room: &Room, place: u32, other: u32) -> bool {
        let epoch = |place: u32| {
            let number = *self.message.get(place as usize)?;
            Some(position(&room.messages[number as usize].id)?.0)
        };
        epoch(place) < epoch(other)
    }

    /// The first place after that position; positions compare like ids.
    pub fn after(&self, room: &Room, position: &str) -> u32 {
        let place = self.message.partition_point(|number| *room.messages[*number as usize].id <= *position);
        u32::try_from(place).unwrap_or(u32::MAX)
    }
}

/// Epoch and number of an id.
fn position(id: &str) -> Option<(&str, u64)> {
    let (epoch, number) = id.split_once('-')?;
    Some((epoch, number.parse().ok()?))
}

/// Which of these ids, in their order, are gone: a later epoch has a message with the same or a lower number. Numbers go
/// on from one epoch to the next, so the log ended before that message when the later epoch began.
fn vanished(ids: &[&str]) -> Vec<bool> {
    let mut vanished = vec![false; ids.len()];
    // Lowest number in the epoch that is being walked through, backwards, and in all later ones.
    let (mut epoch, mut lowest, mut lowest_later) = (None, u64::MAX, u64::MAX);
    for (place, id) in ids.iter().enumerate().rev() {
        let Some((of, number)) = position(id) else { continue };
        if epoch != Some(of) {
            (epoch, lowest_later) = (Some(of), lowest);
        }
        vanished[place] = number >= lowest_later;
        lowest = lowest.min(number);
    }
    vanished
}

/// A message as text for the report.
pub fn describe(message: &Stored) -> String {
    match &message.origin {
        Origin::Ours { key, .. } => format!("{} (sender {}, {})", message.id, key.sender, key.sequence),
        Origin::Foreign(text) => format!("{} ({text:?})", message.id),
    }
}

/// Finds messages that nobody sent, that are stored twice, that are gone, or that are out of their sender's order.
pub fn check(number: usize, room: &Room, order: &Order, sent: &[Vec<Sent>], rules: &Rules, verdict: &mut Verdict) {
    let gone =
        (0u32..).zip(order.acked.iter().zip(&order.vanished)).filter(|(_, (acked, vanished))| **acked && **vanished);
    let gone: Vec<u32> = gone.map(|(place, _)| order.message[place as usize]).collect();
    verdict.vanished += gone.len() as u64;
    let mut violation = |kind, message: &Stored| {
        let at_ms = match &message.origin {
            Origin::Ours { at_us, .. } => u32::try_from(at_us / 1_000).unwrap_or(u32::MAX),
            Origin::Foreign(_) => 0,
        };
        let details =
            || Violation { kind, room: number, member: None, message: describe(message), at_ms, around: Vec::new() };
        verdict.violation(kind, details);
    };
    for message in &room.messages {
        if !was_sent(number, message, sent) {
            violation(Kind::NeverSent, message);
        }
    }
    for (place, first) in &order.twin {
        // A message that Redis lost before it was acknowledged is sent, and stored, again.
        if !order.vanished[*first as usize] {
            violation(Kind::StoredTwice, &room.messages[order.message[*place as usize] as usize]);
        }
    }
    if !rules.may_vanish {
        for message in gone {
            violation(Kind::Vanished, &room.messages[message as usize]);
        }
    }
    for pair in order.message.windows(2) {
        let [one, other] = [pair[0], pair[1]].map(|number| &room.messages[number as usize]);
        if one.id == other.id {
            violation(Kind::StoredTwice, other);
        }
    }
    for message in out_of_sender_order(room, order, sent) {
        violation(Kind::SenderOrder, &room.messages[message as usize]);
    }
}

fn was_sent(number: usize, message: &Stored, sent: &[Vec<Sent>]) -> bool {
    let Origin::Ours { key, at_us } = &message.origin else { return false };
    let sent = sent.get(key.sender as usize).and_then(|sent| sent.get(key.sequence as usize));
    sent.is_some_and(|sent| sent.room as usize == number && sent.at_us == *at_us)
}

/// Messages stored before an earlier one of the same sender, although both were sent once, over the same connection.
fn out_of_sender_order(room: &Room, order: &Order, sent: &[Vec<Sent>]) -> Vec<u32> {
    let mut once: Vec<(Key, u32, u32)> = room
        .acked
        .iter()
        .filter_map(|ack| {
            let sent = sent.get(ack.key.sender as usize)?.get(ack.key.sequence as usize)?;
            (sent.tries == 1).then_some((ack.key, sent.connection, ack.message))
        })
        .collect();
    once.sort_unstable();
    let mut overtaken = Vec::new();
    // Highest place so far for the current sender and connection.
    let mut highest = (None, 0);
    for (key, connection, message) in once {
        let rank = order.rank[message as usize];
        let at = Some((key.sender, connection));
        if highest.0 == at && rank < highest.1 {
            overtaken.push(message);
        } else {
            highest = (at, rank);
        }
    }
    overtaken
}
