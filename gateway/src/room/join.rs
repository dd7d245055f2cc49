//! A socket comes into a room: what it missed, or the newest, and from which position on it hears the rest.

use std::{ops::Range as Span, sync::Arc};

use serde_json::json;

use super::messages::array;
use crate::{
    client::Client,
    cluster::log::{KEPT, Page, Position, Range},
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
    /// The position that was seen, where the room's present epoch has it and it is not ahead of `end`.
    pub(super) fn seen(&self, end: Position) -> Option<Position> {
        let seen: Position = self.since.as_ref()?.parse().ok()?;
        (seen.epoch == end.epoch && seen <= end).then_some(seen)
    }

    /// Which piece of the log answers the join.
    pub(super) fn range(&self, end: Position) -> (Range, usize) {
        match self.seen(end) {
            Some(seen) => (Range::After(seen.number), KEPT),
            None => (Range::Newest, NEWEST),
        }
    }

    /// Whether the position is one that the log may know when it has caught up.
    pub(super) fn is_ahead(&self, end: Position) -> bool {
        let seen = self.since.as_ref().and_then(|since| since.parse::<Position>().ok());
        seen.is_some_and(|seen| seen > end)
    }

    /// Whether `page` holds all that was missed; nothing where the client did not say what was seen.
    pub(super) fn recovered(&self, page: &Page, end: Position) -> Option<bool> {
        self.since.as_ref()?;
        Some(self.seen(end).is_some_and(|seen| page.end.epoch == end.epoch && page.continues(seen.number)))
    }

    /// Tells the socket, in this order: `joined`, `recent-messages`, the acknowledgement.
    pub(super) fn tell(&self, room: &str, page: &Page, shown: Span<usize>, end: Position, recovered: Option<bool>) {
        let client = &self.client;
        client.emit("joined", &json!({ "room": room }));
        let shown = &page.messages[shown];
        let mut events = shown.chunks(PER_EVENT).peekable();
        let mut first = events.next().unwrap_or_default();
        loop {
            let next = events.next();
            let about = json!({ "room": room, "more": next.is_some() });
            let data = format!("{},{about}", array(page, first));
            client.send(&Frame::event_json(&client.namespace.name, "recent-messages", &data));
            match next {
                Some(next) => first = next,
                None => break,
            }
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
