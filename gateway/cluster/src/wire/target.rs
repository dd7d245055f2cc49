//! The names of sockets in messages between nodes: one socket, a user's sockets, or the members of a room. A namespace is
//! never part of a name: the message says it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::SocketId;

/// Begins the text of a user's name. No room's name begins with it.
const USER: &str = "user:";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// All sockets of this user.
    User(Arc<str>),
    /// One socket.
    Socket(SocketId),
    /// The members of the room of this name.
    Room(Arc<str>),
}

impl Target {
    /// The receivers that an emitter names: `user:<id>`, a socket's id, or a room's name.
    ///
    /// A name with the form of a socket's id is one, and never a room: clients choose the names of rooms, and could
    /// otherwise receive what is meant for another socket.
    #[must_use]
    pub fn receiver(name: &str) -> Self {
        match (name.strip_prefix(USER), SocketId::parse(name)) {
            (Some(user), _) => Self::User(user.into()),
            (None, Some(socket)) => Self::Socket(socket),
            (None, None) => Self::Room(name.into()),
        }
    }

    /// The sockets that `name` excepts: like [`Target::receiver`], but a name with the form of a socket's id also excepts
    /// the members of a room of this name.
    pub fn excepted(name: &str) -> impl Iterator<Item = Self> + use<> {
        let first = Self::receiver(name);
        let second = matches!(first, Self::Socket(_)).then(|| Self::Room(name.into()));
        std::iter::once(first).chain(second)
    }
}

/// Selects sockets of one namespace: those of any of the targets, except some.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// Empty for all sockets.
    pub any: Vec<Target>,
    /// These are not selected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Target>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_name_means_one_receiver_and_is_excepted(name in "\\PC{0,40}", id: [u8; 15]) {
            let except: Vec<_> = Target::excepted(&name).collect();
            prop_assert!(except.contains(&Target::receiver(&name)));
            let socket = SocketId::from(id);
            prop_assert_eq!(Target::receiver(&socket.to_string()), Target::Socket(socket));
            prop_assert_eq!(Target::receiver(&format!("user:{name}")), Target::User(name.into()));
        }
    }

    #[test]
    fn names_are_read() {
        assert_eq!(Target::receiver("lobby"), Target::Room("lobby".into()));
        let name = "order-12345678901234";
        let socket = SocketId::parse(name).unwrap();
        assert_eq!(Target::receiver(name), Target::Socket(socket));
        let both: Vec<_> = Target::excepted(name).collect();
        assert_eq!(both, [Target::Socket(socket), Target::Room(name.into())]);
    }
}
