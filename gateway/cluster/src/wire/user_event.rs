//! An event for one user's sessions, and its encoding: the first byte is the kind.

use std::sync::Arc;

use bytes::Bytes;

use super::{Target, text};
use crate::{ids::SocketId, inbox::NotificationId};

/// An event for all sockets, or for all but one. Followed by the socket, or `-`, a space, and `"name",data` in JSON, or the
/// same with binary parts in the engine's encoding.
const EVENT: u8 = b'e';
/// An event for all sockets except several. Followed by a JSON array of [`Target`]s, a line feed, and the rest of an
/// [`EVENT`].
const EVENT_EXCEPT: u8 = b'x';
/// A change of the inbox. Followed by the number of unread notifications, the time, and an [`InboxChange`], with spaces
/// between them. Also written by the inbox's scripts.
const INBOX: u8 = b'i';
/// In place of a socket: no socket is left out.
const NO_SOCKET: &str = "-";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEvent {
    /// An event for all sockets of the user's sessions.
    Event {
        /// The sockets that do not get it, for instance the one whose client sent it.
        except: Vec<Target>,
        /// `"name",data` in JSON, or the same with binary parts in the engine's encoding.
        content: Bytes,
    },
    /// The user's inbox changed.
    Inbox {
        /// The change.
        change: InboxChange,
        /// Unread notifications after the change.
        unread: u64,
        /// RFC 3339.
        at: Arc<str>,
    },
}

/// The change of an inbox: `n` and a notification's body, `r` and an id, `r` alone for all of them, or `d` and an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxChange {
    /// A notification was added.
    New(Arc<str>),
    /// One was marked as read, or all of them.
    Read(Option<NotificationId>),
    /// One was deleted.
    Deleted(NotificationId),
}

impl UserEvent {
    /// The event as bytes, for the bus and for the user's log.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Event { except, content } => match &except[..] {
                [] => text::tagged(EVENT, &[NO_SOCKET.as_bytes(), b" ", content]),
                [Target::Socket(socket)] => text::tagged(EVENT, &[socket.to_string().as_bytes(), b" ", content]),
                several => text::headed(EVENT_EXCEPT, several, content),
            },
            Self::Inbox { change, unread, at } => {
                text::tagged(INBOX, &[format!("{unread} {at} {}", change.to_text()).as_bytes()])
            }
        }
    }

    /// The reverse of [`UserEvent::encode`]; `None` if the bytes are not an event of a known kind.
    #[must_use]
    pub fn decode(bytes: &Bytes) -> Option<Self> {
        Some(match *bytes.first()? {
            EVENT => {
                let (except, content) = text::split(bytes, 1)?;
                let except = match except {
                    NO_SOCKET => Vec::new(),
                    socket => vec![Target::Socket(SocketId::parse(socket)?)],
                };
                Self::Event { except, content: bytes.slice(content..) }
            }
            EVENT_EXCEPT => {
                let (except, content) = text::split_head(bytes)?;
                Self::Event { except, content }
            }
            INBOX => {
                let mut parts = std::str::from_utf8(&bytes[1..]).ok()?.splitn(3, ' ');
                let (unread, at) = (parts.next()?.parse().ok()?, parts.next()?.into());
                Self::Inbox { change: InboxChange::from_text(parts.next()?)?, unread, at }
            }
            _ => return None,
        })
    }
}

impl InboxChange {
    fn to_text(&self) -> String {
        match self {
            Self::New(body) => format!("n{body}"),
            Self::Read(None) => "r".to_owned(),
            Self::Read(Some(id)) => format!("r{id}"),
            Self::Deleted(id) => format!("d{id}"),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(match text.split_at_checked(1)? {
            ("n", body) => Self::New(body.into()),
            ("r", "") => Self::Read(None),
            ("r", id) => Self::Read(Some(NotificationId::parse(id)?)),
            ("d", id) => Self::Deleted(NotificationId::parse(id)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_encoding() {
        let inbox = |change| UserEvent::Inbox { change, unread: 3, at: "2026-01-01T00:00:00Z".into() };
        for event in [
            UserEvent::Event { except: vec![], content: Bytes::from_static(b"\"e\",\"a b\"") },
            UserEvent::Event {
                except: vec![Target::Socket(SocketId::random())],
                content: Bytes::from_static(b"\xff a"),
            },
            UserEvent::Event {
                except: vec![Target::Socket(SocketId::random()), Target::Room("r".into())],
                content: Bytes::from_static(b"\xff\n a"),
            },
            inbox(InboxChange::New("{\"a b\":\"ä\"}".into())),
            inbox(InboxChange::Read(None)),
            inbox(InboxChange::Read(Some(NotificationId::new()))),
            inbox(InboxChange::Deleted(NotificationId::new())),
        ] {
            assert_eq!(UserEvent::decode(&event.encode()), Some(event));
        }
    }
}
