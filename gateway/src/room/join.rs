//! The join of a socket: it gets the messages that it missed, or the newest, and all messages after that position live.
//!
//! A socket may have missed much more than its queue holds. Then it gets several rounds of at most [`PAGE_BYTES`]: the
//! room's worker sends one round, and the socket's event handler requests the next once the client has read it. So
//! neither the worker nor another socket waits, and the memory for one socket is bounded. The last round admits the
//! socket; before that, it receives no live message of the room.

use std::{
    ops::Range as Span,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_cluster::{
    Unavailable,
    ids::SessionKey,
    log::{KEPT, PAGE_BYTES, Page, Position, Range, Stored},
    room_name::RoomName,
    wire::Target,
};
use jackfield_engine::Frame;
use serde_json::json;

use super::messages::{array, new_message};
use crate::hub::Member;

/// Most messages in one `recent-messages`.
pub(super) const PER_EVENT: usize = 100;
/// Messages that a socket gets if it names no position, or one that is no longer kept.
const NEWEST: usize = 50;

/// A member of a room.
pub(crate) trait Occupant: Member {
    /// The member's session.
    fn session(&self) -> SessionKey;

    /// Whether the member has left its namespace.
    fn is_gone(&self) -> bool;

    /// Whether any of these targets names it.
    fn is_any_of(&self, targets: &[Target]) -> bool {
        targets.contains(&Target::Socket(self.id()))
    }
}

/// The join of a socket.
pub(crate) struct Joining<M> {
    /// The socket.
    pub(crate) member: Arc<M>,
    /// The last message or position that the client saw, as the client wrote it.
    pub(crate) since: Option<String>,
    /// The acknowledgement's id, if the client asked for one.
    pub(crate) ack: Option<i64>,
    /// How many members the room has.
    pub(crate) members: usize,
    /// Whether the socket is in the room already, and joins again.
    pub(crate) again: bool,
    /// The last position that earlier rounds sent; `None` in the first round.
    pub(crate) sent: Option<Position>,
    /// Until this time the socket gets no more than one page of this room.
    pub(crate) not_before: Option<Instant>,
    /// The messages that it missed are no longer kept.
    pub(super) lost: bool,
    /// A backend lets the socket in: it gets `joined` and no `recent-messages`.
    pub(super) is_silent: bool,
    /// The client comes back, and believes that it is in the room: it gets what it missed as live messages, or is not
    /// admitted.
    pub(super) is_back: bool,
}

/// Result of one round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The socket is in the room, and the client got its answer.
    In {
        /// The socket receives everything after this live.
        position: Position,
        /// Bytes that were sent.
        bytes: usize,
        /// Whether that was more than one page.
        is_long: bool,
    },
    /// There is more: request the next round, from `sent`, when the client has read these bytes. The socket is not in
    /// the room.
    More {
        /// The last message that was sent.
        sent: Position,
        /// Bytes that were sent.
        bytes: usize,
    },
}

/// Why a socket was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JoinError {
    /// The back end does not answer.
    Unavailable,
    /// The socket missed more than a page, and recently got more than a page already. Nothing was sent.
    TooSoon {
        /// Time until the socket may get as much again.
        wait: Duration,
        /// Bytes that were read and not sent.
        bytes: usize,
    },
    /// The messages that a client missed which comes back are not kept any more.
    Lost,
}

impl From<Unavailable> for JoinError {
    fn from(Unavailable: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// The part of the log that a socket gets, up to the position of the room's members on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The newest, and the value of `recovered` in the acknowledgement.
    Newest(Option<bool>),
    /// All after this number, if the log still has everything up to the position that the client saw.
    After { number: u64, seen: Position },
}

// A derived one would require `M: Clone`.
impl<M> Clone for Joining<M> {
    fn clone(&self) -> Self {
        let Self { member, since, ack, members, again, sent, not_before, lost, is_silent, is_back } = self;
        Self {
            member: Arc::clone(member),
            since: since.clone(),
            ack: *ack,
            members: *members,
            again: *again,
            sent: *sent,
            not_before: *not_before,
            lost: *lost,
            is_silent: *is_silent,
            is_back: *is_back,
        }
    }
}

impl<M: Occupant> Joining<M> {
    /// The first round of `member`'s join.
    pub(crate) fn new(member: Arc<M>, since: Option<String>, ack: Option<i64>, members: usize) -> Self {
        let (again, lost, is_silent, is_back) = (false, false, false, false);
        Self { member, since, ack, members, again, sent: None, not_before: None, lost, is_silent, is_back }
    }

    /// `member`'s join by a backend: the socket gets `joined`, and everything from then on.
    pub(crate) fn silent(member: Arc<M>) -> Self {
        Self { is_silent: true, ..Self::new(member, None, None, 0) }
    }

    /// `member`'s return to a room of which the client has everything up to this position.
    pub(crate) fn back(member: Arc<M>, position: Position) -> Self {
        Self { is_back: true, ..Self::new(member, Some(position.to_string()), None, 0) }
    }

    pub(super) fn wanted(&self, end: Position, empty: Position) -> Wanted {
        match self.sent {
            _ if self.lost => Wanted::Newest(Some(false)),
            Some(sent) => Wanted::since(sent, end, empty),
            None => Wanted::of(self.since.as_deref(), end, empty),
        }
    }

    /// Whether the client saw more than the members on this node, which have to read the log first.
    pub(super) fn is_ahead(&self, end: Position) -> bool {
        let seen = self.since.as_deref().and_then(|since| since.parse::<Position>().ok());
        self.sent.is_none() && seen.is_some_and(|seen| seen > end)
    }

    /// How long the socket must wait before it may get more than one page; `None` if it may now.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.not_before?.saturating_duration_since(now);
        (self.sent.is_none() && !wait.is_zero()).then_some(wait)
    }

    /// Sends the socket these `recent-messages`, preceded by `joined` in the first round; with the last of them it has
    /// everything up to `end`, if that is given. Returns their size in bytes.
    pub(super) fn send(&self, room: &RoomName, recent: &[Frame], end: Option<Position>) -> usize {
        if self.sent.is_none() {
            let joined = Frame::event(&room.namespace, "joined", &json!({ "room": &*room.name }));
            joined.iter().for_each(|frame| self.member.send(frame));
        }
        for (index, frame) in recent.iter().enumerate() {
            let sent = match end.filter(|_| index + 1 == recent.len()) {
                Some(end) => self.member.try_send_at(frame, &room.name, end),
                None => self.member.try_send(frame),
            };
            self.member.abort_if(sent);
        }
        recent.iter().map(Frame::bytes).sum()
    }

    /// Sends the socket `joined` alone: it has everything up to `end`, because it is to get nothing before.
    pub(super) fn send_joined(&self, room: &RoomName, end: Position) -> usize {
        let joined = Frame::event(&room.namespace, "joined", &json!({ "room": &*room.name }));
        if let Some(frame) = &joined {
            self.member.abort_if(self.member.try_send_at(frame, &room.name, end));
        }
        joined.iter().map(Frame::bytes).sum()
    }

    /// Sends the socket these messages as live ones. Returns their size in bytes.
    pub(super) fn send_missed(&self, room: &RoomName, messages: &[Stored]) -> usize {
        let mut bytes = 0;
        for Stored { position, body } in messages {
            let frame = new_message(room, *position, body);
            bytes += frame.bytes();
            self.member.abort_if(self.member.try_send_at(&frame, &room.name, *position));
        }
        bytes
    }

    /// Acknowledges the join, if the client asked for an acknowledgement.
    pub(super) fn acknowledge(&self, room: &RoomName, end: Position, recovered: Option<bool>) {
        let Some(id) = self.ack else { return };
        let mut answer = json!({
            "status": "ok", "room": &*room.name, "position": end.to_string(), "members": self.members,
        });
        if let Some(recovered) = recovered {
            answer["recovered"] = recovered.into();
        }
        if let Some(frame) = Frame::ack(&room.namespace, id, &answer) {
            self.member.send(&frame);
        }
    }
}

impl Wanted {
    /// Parses the client's `since`.
    pub(super) fn of(since: Option<&str>, end: Position, empty: Position) -> Self {
        match since.map(str::parse) {
            None => Self::Newest(None),
            Some(Ok(seen)) => Self::since(seen, end, empty),
            Some(Err(())) => Self::Newest(Some(false)),
        }
    }

    fn since(seen: Position, end: Position, empty: Position) -> Self {
        if seen == empty {
            Self::After { number: 0, seen }
        } else if seen <= end && seen.number <= end.number {
            Self::After { number: seen.number, seen }
        } else {
            Self::Newest(Some(false))
        }
    }

    /// The range of the log to read for it.
    pub(super) fn range(self) -> (Range, usize) {
        match self {
            Self::Newest(_) => FIRST,
            Self::After { number, .. } => (Range::After(number), KEPT),
        }
    }

    /// Whether `page` contains the wanted messages, or the first of them.
    pub(super) fn is_kept(self, page: &Page, end: Position) -> bool {
        match self {
            Self::Newest(_) => true,
            Self::After { number, seen } => {
                page.end.epoch == end.epoch && page.number_of(seen) == Some(number) && page.continues(number)
            }
        }
    }

    /// The page's messages that the socket gets, and whether there are more. Messages after `end` follow live.
    pub(super) fn to_send(self, page: &Page, end: Position) -> (Span<usize>, bool) {
        let past = page.messages.partition_point(|message| message.position.number <= end.number);
        match self {
            Self::Newest(_) => (past.saturating_sub(NEWEST)..past, false),
            Self::After { number, .. } => {
                let last = page.messages[..past].last().map_or(number, |message| message.position.number);
                (0..past, last < end.number)
            }
        }
    }
}

/// The messages as `recent-messages`: at least one event. All but the last have `more: true`; the last has `more`.
pub(super) fn recent_messages(name: &RoomName, page: &Page, to_send: Span<usize>, more: bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut rest = &page.messages[to_send];
    loop {
        let (messages, others) = rest.split_at(fitting(rest));
        rest = others;
        let about = json!({ "room": &*name.name, "more": more || !rest.is_empty() });
        let data = format!("{},{about}", array(messages));
        frames.push(Frame::event_json(&name.namespace, "recent-messages", data));
        if rest.is_empty() {
            return frames;
        }
    }
}

/// How many of these messages fit into one event: at least one, unless there are none.
fn fitting(messages: &[Stored]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&Stored| {
        bytes += message.body.len();
        bytes <= PAGE_BYTES
    };
    messages.iter().take(PER_EVENT).take_while(fits).count().max(1).min(messages.len())
}

/// The range for a join without `since`. A room's worker reads it when it opens the room.
pub(super) const FIRST: (Range, usize) = (Range::Newest, NEWEST);

/// The range that begins at the lowest number; `Newest` only if there is no other.
pub(super) fn widest(pieces: impl Iterator<Item = (Range, usize)>) -> Option<(Range, usize)> {
    pieces.min_by_key(|(range, _)| match range {
        Range::After(number) => *number,
        Range::Before(_) | Range::Newest => u64::MAX,
    })
}

/// The messages after `later` from a page that was read after `number`, if nothing is missing before them.
pub(super) fn part(page: &Page, number: u64, later: u64) -> Option<Page> {
    let from = usize::try_from(later.checked_sub(number)?).ok()?;
    let messages = page.messages.get(from..).filter(|rest| page.continues(number) && !rest.is_empty())?.to_vec();
    Some(Page { messages, earlier: page.earlier.clone(), ..*page })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use jackfield_cluster::log::KEPT_FOR;

    const EMPTY: Position = Position { epoch: 1, number: 0 };

    /// A page after `number` of a log that ends at `end`, with bodies of these lengths.
    fn page(number: u64, lengths: &[usize], end: u64) -> Page {
        let body = |length: &usize| format!("{}}}", "x".repeat(*length)).into();
        let messages = lengths
            .iter()
            .zip(number + 1..)
            .map(|(length, number)| Stored { position: Position { epoch: 2, number }, body: body(length) });
        let end = Position { epoch: 2, number: end };
        Page { end, base: 0, earlier: vec![], messages: messages.collect(), empty: EMPTY, kept_for: KEPT_FOR }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// For messages of any length: each is sent once and in order, no event has too many messages or bytes, and all
        /// events but the last have `more: true`.
        #[test]
        fn events_are_bounded_and_complete(lengths in prop::collection::vec(prop_oneof![0_usize..300, 0_usize..40_000], 0..200), more: bool) {
            let page = page(0, &lengths, lengths.len() as u64);
            let name = RoomName::parse(&"/".into(), "r").unwrap();
            let frames = recent_messages(&name, &page, 0..lengths.len(), more);
            prop_assert!(!frames.is_empty());
            let mut sent = 0;
            for (index, frame) in frames.iter().enumerate() {
                let text = std::str::from_utf8(frame.text()).unwrap();
                let count = text.matches("{\"id\":").count();
                prop_assert!(count <= PER_EVENT && frame.bytes() <= PAGE_BYTES + PER_EVENT * 40 + 200);
                let has_more = text.contains("\"more\":true");
                prop_assert_eq!(has_more, more || index + 1 < frames.len());
                let mut rest = text;
                for number in sent + 1..=sent + count as u64 {
                    let at = rest.find(&format!("-{number:012}\""));
                    prop_assert!(at.is_some(), "{} is missing or out of order", number);
                    rest = &rest[at.unwrap_or_default()..];
                }
                sent += count as u64;
            }
            prop_assert_eq!(sent, lengths.len() as u64);
        }
    }

    #[test]
    fn a_client_that_saw_the_empty_room_gets_all_of_its_first_epoch() {
        let end = Position { epoch: 2, number: 3 };
        let wanted = Wanted::of(Some(&EMPTY.to_string()), end, EMPTY);
        assert_eq!(wanted, Wanted::After { number: 0, seen: EMPTY });
        let first = page(0, &[1, 1, 1], 3);
        assert!(wanted.is_kept(&first, end));
        let earlier = vec![Position { epoch: 1, number: 0 }];
        assert!(wanted.is_kept(&Page { earlier, ..first.clone() }, end), "it went on under another epoch");
        assert!(!wanted.is_kept(&Page { base: 1, ..first.clone() }, end), "the log fell back once");
        assert!(!wanted.is_kept(&page(1, &[1, 1], 3), end), "its first message is gone");
        let forgot = Position { epoch: 3, number: 0 };
        assert!(!wanted.is_kept(&Page { empty: forgot, ..first.clone() }, end), "all data was lost since");
        assert_eq!(Wanted::of(Some(&EMPTY.to_string()), EMPTY, EMPTY), Wanted::After { number: 0, seen: EMPTY });
    }

    #[test]
    fn a_page_answers_joins_after_a_number_within_it() {
        let page = page(10, &[1; 5], 40);
        let numbers = |later| part(&page, 10, later).map(|part| part.messages[0].position.number);
        assert_eq!([9, 10, 12, 14, 15, 99].map(numbers), [None, Some(11), Some(13), Some(15), None, None]);
        assert!(part(&page, 9, 12).is_none(), "there is a hole before it");
    }
}
