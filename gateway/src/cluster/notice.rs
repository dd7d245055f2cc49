//! The messages that nodes send each other over the bus, and their encoding.
//!
//! The first byte is the kind, so that scripts in Redis can write notices too, and a broadcast frame is sent unchanged.
//! Receivers skip unknown kinds, so that nodes of two versions may share a cluster.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::{ids::SessionId, log::Position};

/// To a node: one of its sessions was evicted. Followed by the session's id.
pub const EVICTED: u8 = b'E';
/// To all nodes: a user came online. Followed by Unix milliseconds, a space, and the user's id.
pub const ONLINE: u8 = b'+';
/// To all nodes: a user went offline. Written as [`ONLINE`].
pub const OFFLINE: u8 = b'-';
const FRAME: u8 = b'F';
const ROSTER: u8 = b'R';
const ROSTER_WANTED: u8 = b'?';
/// To a room: a stored message. Followed by its position, a space, and the rest of its JSON object after the id.
pub const MESSAGE: u8 = b'M';
/// To a room: a user joined. Followed by the joining session, a space, and the profile.
pub const JOINED: u8 = b'J';
/// To a room: a user left. Followed by the profile.
pub const LEFT: u8 = b'L';
const FRAME_TO_OTHERS: u8 = b'X';
/// To a node: an event for some of its sessions. Followed by the sessions separated by commas, a space, and
/// `"name",data` in JSON, or the same with binary parts as the engine encodes them.
pub const TO_SESSIONS: u8 = b'U';
/// To a node: some of its sessions must end. Followed by the sessions separated by commas, a space, and the reason.
pub const END: u8 = b'K';

const END_READING: u8 = b'k';

/// Removes a user from all feeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndReading {
    /// The user.
    pub user: Arc<str>,
    /// The reason sent to the client.
    pub reason: Arc<str>,
}

/// A node's part of the list of sockets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterPart {
    /// The node.
    pub node: Arc<str>,
    /// Number of sockets.
    pub count: usize,
    /// Their ids; `None` when there are too many to list.
    pub ids: Option<Vec<Arc<str>>>,
}

/// One message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An encoded packet for every member of the channel.
    Frame(Bytes),
    /// See [`EVICTED`].
    Evicted(SessionId),
    /// A user came online (true) or went offline, at this Unix millisecond.
    Presence {
        /// Came online.
        online: bool,
        /// Unix milliseconds.
        at: i64,
        /// The user.
        user: Arc<str>,
    },
    /// A node's current part of the roster.
    Roster(RosterPart),
    /// A node may not know the other nodes' parts of the roster: every node publishes its own.
    RosterWanted,
    /// See [`MESSAGE`].
    Message {
        /// Its position in the room's log.
        position: Position,
        /// The rest of the message's JSON object after the id.
        body: Arc<str>,
    },
    /// See [`JOINED`].
    Joined {
        /// The joining session; its own sockets do not get the announcement.
        session: SessionId,
        /// JSON of `userId` and `name`.
        profile: Arc<str>,
    },
    /// See [`LEFT`].
    Left {
        /// JSON of `userId` and `name`.
        profile: Arc<str>,
    },
    /// An encoded packet for every member of the room except one socket.
    FrameToOthers {
        /// The socket's public id.
        except: Arc<str>,
        /// The packet.
        frame: Bytes,
    },
    /// See [`TO_SESSIONS`].
    ToSessions {
        /// The sessions; the node skips those that have ended.
        sessions: Vec<SessionId>,
        /// See [`TO_SESSIONS`].
        event: Bytes,
    },
    /// See [`END`].
    End {
        /// The sessions; the node skips those that have ended.
        sessions: Vec<SessionId>,
        /// The reason sent to the client.
        reason: Arc<str>,
    },
    /// To all nodes, because no node knows on which nodes a user reads feeds.
    EndReading(EndReading),
}

impl Notice {
    /// The notice as bytes for the bus.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        match self {
            Self::Frame(frame) => {
                out.reserve(frame.len() + 1);
                out.put_u8(FRAME);
                out.put_slice(frame);
            }
            Self::Evicted(session) => {
                out.put_u8(EVICTED);
                out.put_slice(session.as_str().as_bytes());
            }
            Self::Presence { online, at, user } => {
                out.put_u8(if *online { ONLINE } else { OFFLINE });
                out.put_slice(format!("{at} {user}").as_bytes());
            }
            Self::Roster(part) => {
                out.put_u8(ROSTER);
                out.put_slice(&serde_json::to_vec(part).unwrap_or_default());
            }
            Self::RosterWanted => out.put_u8(ROSTER_WANTED),
            Self::Message { position, body } => {
                out.put_u8(MESSAGE);
                out.put_slice(format!("{position} {body}").as_bytes());
            }
            Self::Joined { session, profile } => {
                out.put_u8(JOINED);
                out.put_slice(format!("{session} {profile}").as_bytes());
            }
            Self::Left { profile } => {
                out.put_u8(LEFT);
                out.put_slice(profile.as_bytes());
            }
            Self::FrameToOthers { except, frame } => {
                out.put_u8(FRAME_TO_OTHERS);
                out.put_slice(format!("{except} ").as_bytes());
                out.put_slice(frame);
            }
            Self::ToSessions { sessions, event } => {
                out.put_u8(TO_SESSIONS);
                put_for_sessions(&mut out, sessions, event);
            }
            Self::End { sessions, reason } => {
                out.put_u8(END);
                put_for_sessions(&mut out, sessions, reason.as_bytes());
            }
            Self::EndReading(end) => {
                out.put_u8(END_READING);
                out.put_slice(&serde_json::to_vec(end).unwrap_or_default());
            }
        }
        out.freeze()
    }

    /// The reverse of [`Notice::encode`]; `None` when the bytes are not a notice of a known kind.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let rest = || std::str::from_utf8(&bytes[1..]).ok();
        Some(match *bytes.first()? {
            FRAME => Self::Frame(bytes.slice(1..)),
            EVICTED => Self::Evicted(rest()?.into()),
            kind @ (ONLINE | OFFLINE) => {
                let (at, user) = rest()?.split_once(' ')?;
                Self::Presence { online: kind == ONLINE, at: at.parse().ok()?, user: user.into() }
            }
            ROSTER => Self::Roster(serde_json::from_slice(&bytes[1..]).ok()?),
            ROSTER_WANTED => Self::RosterWanted,
            END_READING => Self::EndReading(serde_json::from_slice(&bytes[1..]).ok()?),
            MESSAGE => {
                let (position, body) = rest()?.split_once(' ')?;
                Self::Message { position: position.parse().ok()?, body: body.into() }
            }
            JOINED => {
                let (session, profile) = rest()?.split_once(' ')?;
                Self::Joined { session: session.into(), profile: profile.into() }
            }
            LEFT => Self::Left { profile: rest()?.into() },
            FRAME_TO_OTHERS => {
                let (except, frame) = split(bytes, 1)?;
                Self::FrameToOthers { except: except.into(), frame: bytes.slice(frame..) }
            }
            kind @ (TO_SESSIONS | END) => {
                let (sessions, rest) = split(bytes, 1)?;
                let sessions = sessions.split(',').map(SessionId::from).collect();
                match kind {
                    END => Self::End { sessions, reason: std::str::from_utf8(&bytes[rest..]).ok()?.into() },
                    _ => Self::ToSessions { sessions, event: bytes.slice(rest..) },
                }
            }
            _ => return None,
        })
    }
}

fn put_for_sessions(out: &mut BytesMut, sessions: &[SessionId], rest: &[u8]) {
    for (index, session) in sessions.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        out.put_slice(session.as_str().as_bytes());
    }
    out.put_u8(b' ');
    out.put_slice(rest);
}

/// `"name",data` in JSON, as [`Notice::ToSessions`] takes it. `None` when `data` cannot be serialized.
#[must_use]
pub fn event_json<T: Serialize + ?Sized>(name: &str, data: &T) -> Option<Arc<str>> {
    let [name, data] = [serde_json::to_string(name), serde_json::to_string(data)].map(Result::ok);
    Some(format!("{},{}", name?, data?).into())
}

/// The word that begins at `start`, and the index after the space that ends it.
fn split(bytes: &Bytes, start: usize) -> Option<(&str, usize)> {
    let length = bytes.get(start..)?.iter().position(|byte| *byte == b' ')?;
    Some((std::str::from_utf8(&bytes[start..start + length]).ok()?, start + length + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn presence_survives_the_bus(online: bool, at: i64, user in "\\PC{1,128}") {
            let notice = Notice::Presence { online, at, user: user.as_str().into() };
            prop_assert_eq!(Notice::decode(&notice.encode()), Some(notice));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            let _ = Notice::decode(&Bytes::from(bytes));
        }
    }

    #[test]
    fn the_others_survive_the_bus() {
        for notice in [
            Notice::Frame(Bytes::from_static(b"2[\"x\"]")),
            Notice::Evicted("s1".into()),
            Notice::Roster(RosterPart { node: "n".into(), count: 1, ids: Some(vec!["a".into()]) }),
            Notice::RosterWanted,
            Notice::Message { position: Position { epoch: 7, number: 8 }, body: "\"a b\":1}".into() },
            Notice::Joined { session: "s".into(), profile: "{\"name\":\"a b\"}".into() },
            Notice::Left { profile: "{}".into() },
            Notice::FrameToOthers { except: "x".into(), frame: Bytes::from_static(b"2[\"a b\"]") },
            Notice::End { sessions: vec!["a".into()], reason: "a b".into() },
            Notice::EndReading(EndReading { user: "a b".into(), reason: "\"c\" d".into() }),
            Notice::ToSessions { sessions: vec!["a".into(), "b".into()], event: Bytes::from_static(b"\"e\",\"a b\"") },
            Notice::ToSessions { sessions: vec!["a".into()], event: Bytes::from_static(b"\xff a") },
        ] {
            assert_eq!(Notice::decode(&notice.encode()), Some(notice));
        }
    }
}
