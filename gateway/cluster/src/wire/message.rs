//! The messages that nodes send each other over the bus, and their encoding.
//!
//! The first byte is the kind, and the rest is simple enough for Lua scripts in Redis to write; a broadcast frame
//! follows its kind unchanged. Receivers skip unknown kinds, so that nodes of two versions may share a cluster.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Act, Reply, Selector, Target, UserEvent,
    text::{headed, listed, sessions, split, split_head, tagged},
};
use crate::{
    ids::{SessionId, SocketId},
    log::Position,
    revocations::Entry,
};

/// To a node: one of its sessions was evicted. Followed by the session's id.
pub const EVICTED: u8 = b'E';
/// On a scope's channel: a user arrived. Followed by Unix milliseconds, the session, and the user's id, or in a room
/// the profile, with spaces between them.
pub const ARRIVED: u8 = b'+';
/// On a scope's channel: a user departed. Like [`ARRIVED`], without the session.
pub const DEPARTED: u8 = b'-';
const FRAME: u8 = b'F';
const ROSTER: u8 = b'R';
const ROSTER_REQUEST: u8 = b'?';
/// To a room: a stored message. Followed by its position, a space, and the rest of its JSON object after the id.
pub const MESSAGE: u8 = b'M';
const FRAME_TO_OTHERS: u8 = b'X';
/// To a node: an event for one user, whose sessions these of its sessions are. Followed by the sessions separated by
/// commas, the event's position in the user's log, and a [`UserEvent`], with spaces between them.
const FOR_USER: u8 = b'N';
/// To a node: some of its sessions must end. Followed by the sessions separated by commas, a space, and the reason.
const END: u8 = b'K';

const END_SUBSCRIPTIONS: u8 = b'k';
/// To a node: the number of unread notifications, for some of its sessions. Followed by the sessions separated by
/// commas, the number, and the time, with spaces between them.
const UNREAD: u8 = b'I';

/// To all nodes: revocations. Followed by `<epoch>-<number>` of the last one, a space, and the entries as a JSON array.
const REVOKED: u8 = b'V';

/// On a room's or a namespace's channel: a packet for all members except some. Followed by a JSON array of [`Target`]s, a
/// line feed, and the packet.
const FRAME_EXCEPT: u8 = b'x';
/// On a namespace's channel: something to do with the sockets that a selector names. Followed by JSON, a line feed, and
/// what the [`Act`] says.
const SELECTED: u8 = b'S';
/// To a node: a reply to its question. Followed by JSON, a line feed, and what the [`Reply`] says.
const REPLIED: u8 = b'A';

/// Ends a user's subscriptions to all feeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndSubscriptions {
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
    /// Their ids; `None` if there are too many to list.
    pub ids: Option<Vec<SocketId>>,
}

/// One message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusMessage {
    /// An encoded packet for every member of the channel.
    Frame(Bytes),
    /// See [`EVICTED`].
    Evicted(SessionId),
    /// See [`ARRIVED`].
    Arrived {
        /// Unix milliseconds.
        at: i64,
        /// The arriving session, whose own sockets do not get the announcement; `-` if all get it.
        session: SessionId,
        /// The user's id, or in a room the profile.
        about: Arc<str>,
    },
    /// See [`DEPARTED`].
    Departed {
        /// Unix milliseconds.
        at: i64,
        /// The user's id, or in a room the profile.
        about: Arc<str>,
    },
    /// A node's current part of the roster.
    Roster(RosterPart),
    /// A node may not know the other nodes' parts of the roster: every node must publish its own.
    RosterRequest,
    /// See [`MESSAGE`].
    Message {
        /// Its position in the room's log.
        position: Position,
        /// The rest of the message's JSON object after the id.
        body: Arc<str>,
    },
    /// An encoded packet for every member of the room except one socket.
    FrameToOthers {
        /// The socket.
        except: SocketId,
        /// The packet.
        frame: Bytes,
    },
    /// See [`FOR_USER`].
    ForUser {
        /// The user's sessions on the node, which skips those that have ended.
        sessions: Vec<SessionId>,
        /// Its position in the user's log.
        position: Position,
        /// The event.
        event: UserEvent,
    },
    /// See [`END`].
    End {
        /// The sessions; the node skips those that have ended.
        sessions: Vec<SessionId>,
        /// The reason sent to the client.
        reason: Arc<str>,
    },
    /// See [`UNREAD`].
    Unread {
        /// The sessions; the node skips those that have ended.
        sessions: Vec<SessionId>,
        /// Unread notifications.
        unread: u64,
        /// RFC 3339.
        at: Arc<str>,
    },
    /// An encoded packet for every member of the channel except some.
    FrameExcept {
        /// The members that do not get it.
        except: Vec<Target>,
        /// The packet.
        frame: Bytes,
    },
    /// See [`SELECTED`].
    Selected {
        /// Selects sockets of the channel's namespace.
        selector: Selector,
        /// The action on them.
        act: Act,
    },
    /// See [`REPLIED`].
    Replied {
        /// The reply.
        reply: Reply,
        /// The content of the reply.
        bytes: Bytes,
    },
    /// To all nodes, because no node knows which nodes have subscribers of a user.
    EndSubscriptions(EndSubscriptions),
    /// See [`REVOKED`].
    Revoked {
        /// The position of the last entry.
        last: Position,
        /// In the order of recording.
        entries: Vec<Entry>,
    },
}

impl BusMessage {
    /// The message as bytes for the bus.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Frame(frame) => tagged(FRAME, &[frame]),
            Self::Evicted(session) => tagged(EVICTED, &[session.as_str().as_bytes()]),
            Self::Arrived { at, session, about } => tagged(ARRIVED, &[format!("{at} {session} {about}").as_bytes()]),
            Self::Departed { at, about } => tagged(DEPARTED, &[format!("{at} {about}").as_bytes()]),
            Self::Roster(part) => tagged(ROSTER, &[&serde_json::to_vec(part).unwrap_or_default()]),
            Self::RosterRequest => tagged(ROSTER_REQUEST, &[]),
            Self::Message { position, body } => tagged(MESSAGE, &[format!("{position} {body}").as_bytes()]),
            Self::FrameToOthers { except, frame } => tagged(FRAME_TO_OTHERS, &[format!("{except} ").as_bytes(), frame]),
            Self::FrameExcept { except, frame } => headed(FRAME_EXCEPT, except, frame),
            Self::Selected { selector, act } => {
                let (head, bytes) = act.parts();
                headed(SELECTED, &(selector, head), bytes)
            }
            Self::Replied { reply, bytes } => headed(REPLIED, reply, bytes),
            Self::ForUser { sessions, position, event } => {
                tagged(FOR_USER, &[format!("{} {position} ", listed(sessions)).as_bytes(), &event.encode()])
            }
            Self::End { sessions, reason } => tagged(END, &[format!("{} {reason}", listed(sessions)).as_bytes()]),
            Self::Unread { sessions, unread, at } => {
                tagged(UNREAD, &[format!("{} {unread} {at}", listed(sessions)).as_bytes()])
            }
            Self::EndSubscriptions(end) => tagged(END_SUBSCRIPTIONS, &[&serde_json::to_vec(end).unwrap_or_default()]),
            Self::Revoked { last: Position { epoch, number }, entries } => {
                let entries = serde_json::to_vec(entries).unwrap_or_default();
                tagged(REVOKED, &[format!("{epoch}-{number} ").as_bytes(), &entries])
            }
        }
    }

    /// The reverse of [`BusMessage::encode`]; `None` if the bytes are not a message of a known kind.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        let rest = || std::str::from_utf8(&bytes[1..]).ok();
        Some(match *bytes.first()? {
            FRAME => Self::Frame(bytes.slice(1..)),
            EVICTED => Self::Evicted(rest()?.into()),
            ARRIVED => {
                let mut parts = rest()?.splitn(3, ' ');
                let (at, session) = (parts.next()?.parse().ok()?, parts.next()?.into());
                Self::Arrived { at, session, about: parts.next()?.into() }
            }
            DEPARTED => {
                let (at, about) = rest()?.split_once(' ')?;
                Self::Departed { at: at.parse().ok()?, about: about.into() }
            }
            ROSTER => Self::Roster(serde_json::from_slice(&bytes[1..]).ok()?),
            ROSTER_REQUEST => Self::RosterRequest,
            END_SUBSCRIPTIONS => Self::EndSubscriptions(serde_json::from_slice(&bytes[1..]).ok()?),
            MESSAGE => {
                let (position, body) = rest()?.split_once(' ')?;
                Self::Message { position: position.parse().ok()?, body: body.into() }
            }
            FRAME_TO_OTHERS => {
                let (except, frame) = split(bytes, 1)?;
                Self::FrameToOthers { except: SocketId::parse(except)?, frame: bytes.slice(frame..) }
            }
            FRAME_EXCEPT => {
                let (except, frame) = split_head(bytes)?;
                Self::FrameExcept { except, frame }
            }
            SELECTED => {
                let ((selector, head), rest) = split_head(bytes)?;
                Self::Selected { selector, act: Act::from_parts(head, rest) }
            }
            REPLIED => {
                let (reply, bytes) = split_head(bytes)?;
                Self::Replied { reply, bytes }
            }
            UNREAD => {
                let mut parts = rest()?.splitn(3, ' ');
                let (listed, unread) = (parts.next()?, parts.next()?.parse().ok()?);
                Self::Unread { sessions: sessions(listed), unread, at: parts.next()?.into() }
            }
            FOR_USER => {
                let (listed, next) = split(bytes, 1)?;
                let (position, next) = split(bytes, next)?;
                let (position, event) = (position.parse().ok()?, UserEvent::decode(&bytes.slice(next..))?);
                Self::ForUser { sessions: sessions(listed), position, event }
            }
            REVOKED => {
                let (position, next) = split(bytes, 1)?;
                let (epoch, number) = position.split_once('-')?;
                let last = Position { epoch: epoch.parse().ok()?, number: number.parse().ok()? };
                Self::Revoked { last, entries: serde_json::from_slice(&bytes[next..]).ok()? }
            }
            END => {
                let (listed, reason) = rest()?.split_once(' ')?;
                Self::End { sessions: sessions(listed), reason: reason.into() }
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        revocations::About,
        wire::act::{Ask, Command, End, Found},
    };
    use proptest::prelude::*;

    fn ask() -> Ask {
        Ask { node: "n".into(), id: 7, timeout_ms: 5_000 }
    }

    fn selected(act: Act) -> BusMessage {
        let selector = Selector { any: vec![Target::Room("r".into())], except: vec![Target::User("a b".into())] };
        BusMessage::Selected { selector, act }
    }

    proptest! {
        #[test]
        fn announcements_survive_encoding(at: i64, user in "\\PC{1,128}") {
            let about: Arc<str> = user.as_str().into();
            let departed = BusMessage::Departed { at, about: Arc::clone(&about) };
            prop_assert_eq!(BusMessage::decode(&departed.encode()), Some(departed));
            let arrived = BusMessage::Arrived { at, session: "s~1".into(), about };
            prop_assert_eq!(BusMessage::decode(&arrived.encode()), Some(arrived));
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            let _ = BusMessage::decode(&Bytes::from(bytes));
        }
    }

    #[test]
    fn all_other_messages_survive_encoding() {
        for message in [
            BusMessage::Frame(Bytes::from_static(b"2[\"x\"]")),
            BusMessage::Evicted("s1".into()),
            BusMessage::Roster(RosterPart { node: "n".into(), count: 1, ids: Some(vec![SocketId::random()]) }),
            BusMessage::RosterRequest,
            BusMessage::Message { position: Position { epoch: 7, number: 8 }, body: "\"a b\":1}".into() },
            BusMessage::FrameToOthers { except: SocketId::random(), frame: Bytes::from_static(b"2[\"a b\"]") },
            BusMessage::FrameExcept {
                except: vec![Target::User("a \n\"b".into()), Target::Socket(SocketId::random())],
                frame: Bytes::from_static(b"2[\"a\nb\"]"),
            },
            selected(Act::Send(Bytes::from_static(b"\xff\n\x00"))),
            selected(Act::Command(Command {
                join: vec!["r".into()],
                leave: vec!["s".into()],
                end: Some(End { reason: "a b".into(), session: true }),
            })),
            selected(Act::Count(ask())),
            selected(Act::Emit(ask(), Bytes::from_static(b"\"e\",1"))),
            BusMessage::Replied {
                reply: Reply { id: 7, found: Found::Sockets { node: "n".into(), namespace: "/".into(), count: 3 } },
                bytes: Bytes::new(),
            },
            BusMessage::Replied {
                reply: Reply { id: 7, found: Found::Acknowledged { socket: SocketId::random(), user: "a b".into() } },
                bytes: Bytes::from_static(b"[1]"),
            },
            BusMessage::End { sessions: vec!["a".into()], reason: "a b".into() },
            BusMessage::Unread { sessions: vec!["a".into(), "b".into()], unread: 3, at: "2026-01-01T00:00:00Z".into() },
            BusMessage::EndSubscriptions(EndSubscriptions { user: "a b".into(), reason: "\"c\" d".into() }),
            BusMessage::Revoked {
                last: Position { epoch: 1 << 50, number: 8 },
                entries: vec![Entry {
                    user: "a b".into(),
                    about: About::Login { id: "\"c\" d".into() },
                    reason: "logout".into(),
                    until: 7,
                }],
            },
            BusMessage::ForUser {
                sessions: vec!["a".into(), "b".into()],
                position: Position { epoch: 7, number: 8 },
                event: UserEvent::Event { except: Vec::new(), content: Bytes::from_static(b"\"e\",\"a b\"") },
            },
        ] {
            assert_eq!(BusMessage::decode(&message.encode()), Some(message));
        }
    }
}
