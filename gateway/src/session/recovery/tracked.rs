//! The positions up to which a socket that can be recovered was sent everything: in each of its rooms and in its user's
//! log.
//!
//! Guarantees: the offset on an event is exactly what was queued up to and with that event, because both happen under one
//! lock; no event without an offset sets one, although a stock client takes any last argument that is a string. While
//! [`Tracked::hold`] is in effect, frames wait here, bounded in number and in bytes.

use std::sync::Arc;

use jackfield_cluster::log::Position;
use jackfield_engine::{Frame, Full, Outbox};
use smallvec::SmallVec;

use super::offset::{self, Json};

/// See the module.
pub(crate) struct Tracked {
    user: Position,
    rooms: SmallVec<[Place; 1]>,
    /// A socket in more rooms cannot be recovered.
    max_rooms: usize,
    held: Option<Held>,
}

/// A room that the socket is in, or enters.
struct Place {
    stay: u32,
    room: Arc<str>,
    /// `None` until the socket was told that it is in the room.
    at: Option<Position>,
}

/// Frames that wait until the socket's CONNECT was answered.
struct Held {
    frames: Vec<Frame>,
    bytes: usize,
    limit: Limit,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Tracked {
    pub(in crate::session) fn new(user: Position, max_rooms: usize) -> Self {
        Self { user, rooms: SmallVec::new(), max_rooms, held: None }
    }

    /// A socket that comes back to these rooms.
    pub(super) fn hold(
        user: Position,
        rooms: impl Iterator<Item = (u32, Arc<str>, Position)>,
        max_rooms: usize,
        limit: Limit,
    ) -> Self {
        let rooms = rooms.map(|(stay, room, at)| Place { stay, room, at: Some(at) }).collect();
        Self { user, rooms, max_rooms, held: Some(Held { frames: Vec::new(), bytes: 0, limit }) }
    }

    /// A new socket continues from this position in its user's log.
    pub(in crate::session) fn begin(&mut self, user: Position) {
        self.user = user;
    }

    /// The offset of what was sent, as JSON.
    pub(in crate::session) fn offset(&self) -> Json {
        let told = || self.rooms.iter().filter_map(|place| Some((place.stay, place.at?)));
        offset::json(self.user, (told().count() <= self.max_rooms).then(told))
    }

    /// The socket enters a room, or is in it already.
    pub(in crate::session) fn enters(&mut self, stay: u32, room: &Arc<str>) {
        if !self.rooms.iter().any(|place| place.stay == stay) {
            self.rooms.push(Place { stay, room: Arc::clone(room), at: None });
        }
    }

    pub(in crate::session) fn left(&mut self, room: &str) {
        self.rooms.retain(|place| *place.room != *room);
    }

    /// Sends a frame that changes no position.
    pub(in crate::session) fn send(&mut self, outbox: &Outbox, frame: &Frame) -> Result<(), Full> {
        match sets_offset(frame.text()) {
            true => self.put(outbox, &frame.with_argument(b"null")),
            false => self.put(outbox, frame),
        }
    }

    /// Sends an event with which the socket has everything of the room up to this position.
    pub(in crate::session) fn send_at(
        &mut self,
        outbox: &Outbox,
        frame: &Frame,
        room: &str,
        position: Position,
    ) -> Result<(), Full> {
        if let Some(place) = self.rooms.iter_mut().find(|place| *place.room == *room) {
            place.at = Some(position);
        }
        self.put(outbox, &frame.with_argument(&self.offset()))
    }

    /// Sends an event with which the socket has everything of its user's log up to this position.
    pub(in crate::session) fn send_user(
        &mut self,
        outbox: &Outbox,
        frame: &Frame,
        position: Position,
    ) -> Result<(), Full> {
        self.user = position;
        self.put(outbox, &frame.with_argument(&self.offset()))
    }

    /// Sends what was held, and holds nothing from now on. [`Full`] also if more came than may be held.
    pub(in crate::session) fn let_go(&mut self, outbox: &Outbox) -> Result<(), Full> {
        let Some(held) = self.held.take() else { return Ok(()) };
        if held.is_full() {
            return Err(Full);
        }
        held.frames.iter().try_for_each(|frame| outbox.send(frame))
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// Whether more waits than may.
    pub(super) fn is_full(&self) -> bool {
        self.held.as_ref().is_some_and(Held::is_full)
    }

    fn put(&mut self, outbox: &Outbox, frame: &Frame) -> Result<(), Full> {
        let Some(held) = &mut self.held else { return outbox.send(frame) };
        if held.is_full() {
            return Ok(());
        }
        held.bytes += frame.bytes();
        held.frames.push(frame.clone());
        Ok(())
    }
}

impl Held {
    fn is_full(&self) -> bool {
        self.frames.len() > self.limit.frames || self.bytes > self.limit.bytes
    }
}

/// Whether a stock client would take the packet's last argument, or an event's name without arguments, as an offset.
fn sets_offset(text: &[u8]) -> bool {
    matches!(text.first(), Some(b'2' | b'5')) && text.ends_with(b"\"]")
}

#[cfg(test)]
mod tests {
    use jackfield_engine::testing::TestOutbox;
    use serde_json::json;

    use super::*;

    fn at(number: u64) -> Position {
        Position { epoch: 7, number }
    }

    fn texts(outbox: &TestOutbox) -> Vec<String> {
        outbox.take().iter().map(|frame| String::from_utf8(frame.text().to_vec()).unwrap()).collect()
    }

    #[test]
    fn an_offset_has_what_was_queued() {
        let transport = TestOutbox::new();
        let outbox = Outbox::Test(transport.clone());
        let mut tracked = Tracked::new(at(1), 2);
        let event = Frame::event_json("/", "e", "1");
        let sent = |tracked: &mut Tracked, room: &str, number: u64| {
            tracked.send_at(&outbox, &event, room, at(number)).unwrap();
            texts(&transport).remove(0)
        };
        tracked.enters(1, &"one".into());
        tracked.enters(2, &"two".into());
        assert_eq!(sent(&mut tracked, "two", 40), r#"2["e",1,"r1.7-1.2-7-14"]"#, "it was not told of the other one");
        assert_eq!(sent(&mut tracked, "one", 3), r#"2["e",1,"r1.7-1.1-7-3.2-7-14"]"#);
        tracked.send_user(&outbox, &event, at(2)).unwrap();
        assert_eq!(texts(&transport), [r#"2["e",1,"r1.7-2.1-7-3.2-7-14"]"#]);
        tracked.enters(3, &"three".into());
        tracked.send_at(&outbox, &event, "three", at(0)).unwrap();
        assert_eq!(texts(&transport), [r#"2["e",1,"r1"]"#], "too many rooms");
        tracked.left("one");
        tracked.send_at(&outbox, &event, "one", at(4)).unwrap();
        assert_eq!(texts(&transport), [r#"2["e",1,"r1.7-2.2-7-14.3-7-0"]"#]);
    }

    #[test]
    fn other_frames_set_no_offset() {
        let transport = TestOutbox::new();
        let outbox = Outbox::Test(transport.clone());
        let mut tracked = Tracked::new(at(1), 2);
        let frames = [
            Frame::event("/", "e", &"text").unwrap(),
            Frame::event_content("/chat", "\"e\""),
            Frame::event("/", "e", &json!({"a": "b"})).unwrap(),
            Frame::ack("/", 1, &"text").unwrap(),
        ];
        frames.iter().for_each(|frame| tracked.send(&outbox, frame).unwrap());
        assert_eq!(
            texts(&transport),
            [r#"2["e","text",null]"#, r#"2/chat,["e",null]"#, r#"2["e",{"a":"b"}]"#, "31[\"text\"]"]
        );
    }

    #[test]
    fn held_frames_wait_and_are_bounded() {
        let transport = TestOutbox::new();
        let outbox = Outbox::Test(transport.clone());
        let event = Frame::event_json("/", "e", "1");
        let rooms = || [(4, "r".into(), at(1))].into_iter();
        let held = |frames| Tracked::hold(at(1), rooms(), 2, Limit { frames, bytes: 1_000 });
        let mut tracked = held(2);
        tracked.send_at(&outbox, &event, "r", at(2)).unwrap();
        tracked.send(&outbox, &event).unwrap();
        assert!(texts(&transport).is_empty() && !tracked.is_full());
        tracked.let_go(&outbox).unwrap();
        tracked.send(&outbox, &event).unwrap();
        assert_eq!(texts(&transport), [r#"2["e",1,"r1.7-1.4-7-2"]"#, r#"2["e",1]"#, r#"2["e",1]"#]);
        let mut full = held(2);
        for _ in 0..10 {
            full.send(&outbox, &event).unwrap();
        }
        assert!(full.is_full() && full.held.as_ref().unwrap().frames.len() == 3);
        assert_eq!(full.let_go(&outbox), Err(Full), "some were dropped");
    }
}
