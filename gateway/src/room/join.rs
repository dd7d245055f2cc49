//! A socket comes into a room: what it missed, or the newest, and from which position on it hears the rest.

use std::{ops::Range as Span, sync::Arc};

use serde_json::json;

use super::messages::array;
use crate::{
    client::Client,
    cluster::{
        log::{KEPT, Page, Position, Range},
        room_name::RoomName,
    },
    engine::Frame,
};

/// Messages in one `recent-messages`.
const PER_EVENT: usize = 100;
/// Messages that somebody gets who does not say what was seen, or whose position is not kept.
const NEWEST: usize = 50;

/// Who comes, and what was seen.
#[derive(Clone)]
pub struct Joining {
    /// Who.
    pub client: Arc<Client>,
    /// The last message or position that was seen, as the client wrote it.
    pub since: Option<String>,
    /// Where an acknowledgement is asked for.
    pub ack: Option<i64>,
    /// How many members the room has.
    pub members: usize,
}

/// The socket is in, and was told so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// Everything after this is heard live.
    pub position: Position,
}

impl Joining {
    pub(super) fn since(&self) -> Since<'_> {
        Since(self.since.as_deref())
    }

    /// Tells the socket, in this order: `joined`, `recent-messages` as [`recent_messages`] wrote them, the acknowledgement.
    pub(super) fn tell(&self, room: &str, recent: &[Frame], end: Position, recovered: Option<bool>) {
        let client = &self.client;
        client.emit("joined", &json!({ "room": room }));
        for frame in recent {
            client.send(frame);
        }
        if let Some(id) = self.ack {
            let mut answer = json!({
                "status": "ok", "room": room, "position": end.to_string(), "members": self.members,
            });
            if let Some(recovered) = recovered {
                answer["recovered"] = recovered.into();
            }
            if let Some(frame) = Frame::ack(&client.namespace.name, id, &answer) {
                client.send(&frame);
            }
        }
    }
}

/// The last message or position that was seen, as the client wrote it, and what follows from it.
#[derive(Clone, Copy)]
pub(super) struct Since<'a>(pub(super) Option<&'a str>);

impl Since<'_> {
    /// The position that was seen, where the room's present epoch has it and it is not ahead of `end`.
    pub(super) fn seen(self, end: Position) -> Option<Position> {
        let seen: Position = self.0?.parse().ok()?;
        (seen.epoch == end.epoch && seen <= end).then_some(seen)
    }

    /// Which piece of the log answers the join.
    pub(super) fn range(self, end: Position) -> (Range, usize) {
        match self.seen(end) {
            Some(seen) => (Range::After(seen.number), KEPT),
            None => FIRST,
        }
    }

    /// Whether the position is one that the log may know when it has caught up.
    pub(super) fn is_ahead(self, end: Position) -> bool {
        let seen = self.0.and_then(|since| since.parse::<Position>().ok());
        seen.is_some_and(|seen| seen > end)
    }

    /// Whether `page` holds all that was missed; nothing where the client did not say what was seen.
    pub(super) fn recovered(self, page: &Page, end: Position) -> Option<bool> {
        self.0?;
        Some(self.seen(end).is_some_and(|seen| page.end.epoch == end.epoch && page.continues(seen.number)))
    }

    /// Which of the page's messages the socket is told: what is newer than `end` comes to everybody at once, live.
    pub(super) fn shown(self, page: &Page, end: Position) -> Span<usize> {
        let shown = page.messages.partition_point(|message| message.number <= end.number);
        match self.recovered(page, end) {
            Some(true) => 0..shown,
            // Nothing was asked for, or it is not there: the newest.
            _ => shown.saturating_sub(NEWEST)..shown,
        }
    }
}

/// All `recent-messages` of one join: at least one, and all but the last say that there is more.
pub(super) fn recent_messages(name: &RoomName, page: &Page, shown: Span<usize>) -> Vec<Frame> {
    let shown = &page.messages[shown];
    let mut frames = Vec::with_capacity(shown.len().div_ceil(PER_EVENT).max(1));
    let mut events = shown.chunks(PER_EVENT);
    let mut next = Some(events.next().unwrap_or_default());
    while let Some(messages) = next {
        next = events.next();
        let about = json!({ "room": &*name.name, "more": next.is_some() });
        let data = format!("{},{about}", array(page, messages));
        frames.push(Frame::event_json(&name.namespace, "recent-messages", &data));
    }
    frames
}

/// The piece that is kept from the start: what somebody gets who does not say what was seen.
pub(super) const FIRST: (Range, usize) = (Range::Newest, NEWEST);

/// The one of these pieces that holds most.
pub(super) fn widest(pieces: impl Iterator<Item = (Range, usize)>) -> Option<(Range, usize)> {
    pieces.min_by_key(|(range, _)| match range {
        Range::After(number) => *number,
        Range::Before(_) | Range::Newest => u64::MAX,
    })
}
