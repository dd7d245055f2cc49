//! The updates that a subscriber missed which comes back. Pure.
//!
//! An offset of a feed is `f1.<position>`: the last argument of every event to a subscriber that asked for offsets. A
//! stock client sends the last one that it handled.

use jackfield_cluster::{ids::SocketId, log::Position};

/// The wishes of a subscriber when it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Its events carry offsets.
    pub(crate) offsets: bool,
    /// The client was subscribed before.
    pub(crate) resume: Option<Resume>,
    /// Most updates that it gets at once, and most bytes of them: with more, its queue could be too small, and it would
    /// come back for the same again and again.
    pub(crate) max: usize,
    pub(crate) max_bytes: usize,
}

/// A client that was subscribed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resume {
    /// Its public id then.
    pub(crate) id: SocketId,
    /// The last position that it handled.
    pub(crate) after: Position,
}

impl Resume {
    /// `None` if the client got this `pid` or offset from somewhere else.
    pub(crate) fn parse(pid: &str, offset: &str) -> Option<Self> {
        let after = offset.strip_prefix(PREFIX)?.parse().ok()?;
        Some(Self { id: SocketId::parse(pid)?, after })
    }
}

const PREFIX: &str = "f1.";

/// The offset of this position, as JSON.
pub(super) fn offset(position: Position) -> String {
    format!("\"{PREFIX}{position}\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(number: u64) -> Position {
        Position { epoch: 7, number }
    }

    proptest! {
        #[test]
        fn any_offset_parses_without_panic(pid in "\\PC{0,30}", text in "\\PC{0,60}") {
            let _ = Resume::parse(&pid, &text);
        }
    }

    #[test]
    fn an_offset_survives_its_text() {
        let id = SocketId::random();
        let json = offset(at(9));
        let resume = Resume::parse(&id.to_string(), json.trim_matches('"')).unwrap();
        assert_eq!((resume.id, resume.after), (id, at(9)));
        assert!(Resume::parse(&id.to_string(), "r1.x").is_none() && Resume::parse("x", "f1.x").is_none());
    }
}
