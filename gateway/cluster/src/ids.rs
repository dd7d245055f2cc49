//! The ids that nodes exchange, each a type of its own, so that the compiler finds a mix-up.

use std::{fmt, sync::Arc};

use base64::{Engine as _, display::Base64Display, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One process of the gateway, from its start to its end. Letters, digits, `_`, `-` and `.`.
    NodeId
);
id!(
    /// One unbroken lease of a node: `<node id>:<random>`. A node that lost its lease continues under a new one.
    Incarnation
);
id!(
    /// One Engine.IO connection, whichever namespaces it is in; or one stay of it in a room.
    SessionId
);

/// Bytes of a random id.
const BYTES: usize = 15;

macro_rules! compact_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; BYTES]);

        impl $name {
            /// A new id.
            #[must_use]
            pub fn random() -> Self {
                Self(rand::random())
            }

            /// The reverse of its `Display`.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; BYTES];
                let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
                (length == BYTES).then_some(Self(bytes))
            }
        }

        impl From<[u8; BYTES]> for $name {
            fn from(bytes: [u8; BYTES]) -> Self {
                Self(bytes)
            }
        }

        /// Text of 20 characters, as [`random_id`] writes it.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Base64Display::new(&self.0, &URL_SAFE_NO_PAD).fmt(f)
            }
        }
    };
}

compact_id!(
    /// A [`SessionId`] as a node keeps it for its own connections: without an allocation.
    SessionKey
);
compact_id!(
    /// The record of a client that can be recovered: see [`crate::recovery`].
    RecordId
);
compact_id!(
    /// The public id of a socket, the membership of a connection in one namespace. It gives no control over the
    /// connection.
    SocketId
);

/// Separates the session's id from the stay's number in the id of a stay in a room.
const STAY: char = '~';

impl SessionKey {
    /// The id of this session's stay in a room. Each stay has a number of its own.
    #[must_use]
    pub fn stay(self, number: u32) -> SessionId {
        SessionId(format!("{self}{STAY}{number}").into())
    }

    /// The session of this id, which may be that of a stay in a room. `None` if no gateway made it.
    #[must_use]
    pub fn of(id: &SessionId) -> Option<Self> {
        Self::parse(id.0.split(STAY).next().unwrap_or_default())
    }
}

impl From<SessionKey> for SessionId {
    fn from(key: SessionKey) -> Self {
        Self(key.to_string().into())
    }
}

impl Serialize for SocketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SocketId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not a socket's id"))
    }
}

/// Characters of [`NodeId::tag`].
const TAG: usize = 8;

impl NodeId {
    /// The last characters of the id, which are random: short, and different for every node of a cluster.
    #[must_use]
    pub fn tag(&self) -> &str {
        // An id has only ASCII characters; another one is its own tag.
        self.0.get(self.0.len().saturating_sub(TAG)..).unwrap_or(&self.0)
    }
}

impl Incarnation {
    /// The first or next incarnation of `node`.
    #[must_use]
    pub fn new(node: &NodeId) -> Self {
        Self(format!("{node}:{}", random_id()).into())
    }

    /// The node whose lease this is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.0.split(':').next().unwrap_or_default().into())
    }
}

/// 20 characters of 120 random bits, safe in URLs, keys and channels.
#[must_use]
pub fn random_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; BYTES]>())
}

/// One user's session, as the ports take it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionRef {
    /// The user.
    pub user: Arc<str>,
    /// The session.
    pub session: SessionId,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn compact_ids_survive_their_text(bytes: [u8; BYTES], number: u32) {
            let (key, socket) = (SessionKey(bytes), SocketId(bytes));
            prop_assert_eq!(socket.to_string().len(), random_id().len());
            prop_assert_eq!(SocketId::parse(&socket.to_string()), Some(socket));
            let json = serde_json::to_string(&socket).unwrap();
            prop_assert_eq!(serde_json::from_str::<SocketId>(&json).unwrap(), socket);
            prop_assert_eq!(SessionKey::of(&key.into()), Some(key));
            prop_assert_eq!(SessionKey::of(&key.stay(number)), Some(key));
        }

        #[test]
        fn other_texts_are_no_ids(text in "\\PC{0,40}") {
            prop_assert!(SocketId::parse(&text).is_none_or(|id| id.to_string() == text));
        }
    }
}
