//! One session's stay: in the cluster, or in a room.

use std::{fmt, sync::Arc};

use crate::{
    bus::Channel,
    ids::{SessionId, SessionRef},
    partition::Partition,
    room_name::RoomName,
};

/// The scope in which a user is present.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// The cluster: the user is online.
    Cluster,
    /// A room.
    Room(RoomName),
}

impl Scope {
    /// The channel of its announcements.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match self {
            Self::Cluster => Channel::Presence,
            Self::Room(room) => Channel::Room(room.clone()),
        }
    }
}

impl Scope {
    /// The partition of a user's presence in it.
    pub(crate) fn partition(&self, user: &str) -> Partition {
        match self {
            Self::Cluster => Partition::of(user),
            Self::Room(room) => Partition::of_room(room),
        }
    }
}

/// One session in one scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stay {
    /// The scope.
    pub scope: Scope,
    /// The user.
    pub user: Arc<str>,
    /// The session.
    pub session: SessionId,
}

impl Stay {
    /// A session's stay in the cluster.
    #[must_use]
    pub fn online(SessionRef { user, session }: &SessionRef) -> Self {
        Self { scope: Scope::Cluster, user: Arc::clone(user), session: session.clone() }
    }

    /// The partition of the room, or of the user.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.scope.partition(&self.user)
    }

    /// The reverse of its `Display`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let (session, scope, user) = (parts.next()?.into(), parts.next()?, parts.next()?.into());
        let scope = match scope {
            "-" => Scope::Cluster,
            room => Scope::Room(RoomName::from_text(room)?),
        };
        Some(Self { scope, user, session })
    }
}

/// `<session> <room, or -> <user>`: only the user's id may have spaces.
impl fmt::Display for Stay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Scope::Cluster => write!(f, "{} - {}", self.session, self.user),
            Scope::Room(room) => write!(f, "{} {room} {}", self.session, self.user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_are_parsed_from_their_text() {
        let room = RoomName::parse(&"/chat".into(), "r:1").map(Scope::Room);
        for scope in [Some(Scope::Cluster), room].into_iter().flatten() {
            let stay = Stay { scope, user: "ann b c".into(), session: "s~1".into() };
            assert_eq!(Stay::from_text(&stay.to_string()), Some(stay));
        }
        assert_eq!(Stay::from_text("s -"), None);
    }
}
