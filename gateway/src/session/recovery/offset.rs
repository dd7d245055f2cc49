//! The text by which a client that can be recovered says what it has handled. Pure.
//!
//! `r1.<epoch>-<number>` is the position in the user's log; `.<stay>-<epoch>-<number>` follows for each room: the stay's
//! number in the client's record, and the position in the room. All numbers are in base 36. The text is the last argument
//! of every event that advances one of them, and a stock client sends the last one that it got.

use jackfield_cluster::log::Position;
use smallvec::SmallVec;

const VERSION: &str = "r1";
/// The offset of a socket that is in too many rooms: it cannot be recovered.
const NONE: &[u8] = b"\"r1\"";
const BASE: u64 = 36;
/// Digits of the largest number.
const LONGEST: usize = 13;

/// An offset as JSON. Most need no allocation.
pub(in crate::session) type Json = SmallVec<[u8; 128]>;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offset {
    pub(super) user: Position,
    /// By the stays' numbers.
    pub(super) rooms: SmallVec<[(u32, Position); 1]>,
}

impl Offset {
    /// `None` if no gateway wrote it, or the socket was in too many rooms.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        if parts.next() != Some(VERSION) {
            return None;
        }
        let user = position(parts.next()?)?;
        let room = |part: &str| {
            let (stay, at) = part.split_once('-')?;
            Some((u32::try_from(number(stay)?).ok()?, position(at)?))
        };
        let rooms = parts.map(room).collect::<Option<SmallVec<_>>>()?;
        Some(Self { user, rooms })
    }

    /// The position in the room of this stay, if the client was told of it.
    pub(super) fn of(&self, stay: u32) -> Option<Position> {
        self.rooms.iter().find(|(other, _)| *other == stay).map(|(_, at)| *at)
    }
}

/// The offset as JSON; `None` of the rooms if there are too many.
pub(super) fn json(user: Position, rooms: Option<impl Iterator<Item = (u32, Position)>>) -> Json {
    let Some(rooms) = rooms else { return Json::from_slice(NONE) };
    let mut text = Json::from_slice(b"\"");
    text.extend_from_slice(VERSION.as_bytes());
    text.push(b'.');
    push_position(&mut text, user);
    for (stay, at) in rooms {
        text.push(b'.');
        push(&mut text, u64::from(stay));
        text.push(b'-');
        push_position(&mut text, at);
    }
    text.push(b'"');
    text
}

fn push_position(text: &mut Json, Position { epoch, number }: Position) {
    push(text, epoch);
    text.push(b'-');
    push(text, number);
}

fn push(text: &mut Json, mut number: u64) {
    let mut digits = [0; LONGEST];
    let mut at = LONGEST;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % BASE) as usize];
        number /= BASE;
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}

fn position(text: &str) -> Option<Position> {
    let (epoch, in_epoch) = text.split_once('-')?;
    Some(Position { epoch: number(epoch)?, number: number(in_epoch)? })
}

fn number(text: &str) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    text.bytes().all(is_digit).then(|| u64::from_str_radix(text, BASE as u32).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn offsets_survive_their_text(user: (u64, u64), rooms: Vec<(u32, u64, u64)>) {
            let at = |epoch, number| Position { epoch, number };
            let user = at(user.0, user.1);
            let rooms: SmallVec<[_; 1]> = rooms.into_iter().map(|(stay, epoch, number)| (stay, at(epoch, number))).collect();
            let text = json(user, Some(rooms.iter().copied()));
            let text: &str = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(Offset::parse(text), Some(Offset { user, rooms }));
        }

        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,80}", near in "r1(\\.[0-9a-z-]{0,20}){0,4}") {
            let _ = (Offset::parse(&text), Offset::parse(&near));
        }
    }

    #[test]
    fn other_texts_are_no_offsets() {
        let none = json(Position { epoch: 1, number: 2 }, None::<std::iter::Empty<_>>);
        let none: &str = serde_json::from_slice(&none).unwrap();
        let foreign =
            ["", "r1", "r1.", "r2.1-1", "r1.1", "r1.1-1.", "r1.1-1.2-3", "r1.A-1", "r1.+1-1", "r1.-1", "f1.x"];
        for text in foreign.into_iter().chain([none]) {
            assert_eq!(Offset::parse(text), None, "{text}");
        }
        let huge = "z".repeat(14);
        assert_eq!(Offset::parse(&format!("r1.{huge}-1")), None);
    }
}
