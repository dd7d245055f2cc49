//! The kinds of facts, and which of them are recorded.

/// The kinds of facts. The names are the contract with backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A session began: it was granted, or registered again after its end was recorded.
    SessionStarted,
    /// A session ended.
    SessionEnded,
    /// A user's first session began.
    UserOnline,
    /// A user's last session ended, and the grace is over.
    UserOffline,
    /// A room's first member joined.
    RoomOccupied,
    /// A room's last member left.
    RoomVacated,
    /// A user joined a room with the first of their sockets.
    RoomJoined,
    /// A user left a room with the last of their sockets.
    RoomLeft,
    /// A message was stored in a room.
    MessageStored,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SessionStarted,
        Self::SessionEnded,
        Self::UserOnline,
        Self::UserOffline,
        Self::RoomOccupied,
        Self::RoomVacated,
        Self::RoomJoined,
        Self::RoomLeft,
        Self::MessageStored,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStarted => "session.started",
            Self::SessionEnded => "session.ended",
            Self::UserOnline => "user.online",
            Self::UserOffline => "user.offline",
            Self::RoomOccupied => "room.occupied",
            Self::RoomVacated => "room.vacated",
            Self::RoomJoined => "room.joined",
            Self::RoomLeft => "room.left",
            Self::MessageStored => "message.stored",
        }
    }

    /// The reverse of [`Kind::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u16);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Every kind.
    pub const ALL: Self = Self((1 << Kind::ALL.len()) - 1);

    /// The kinds whose names match one of these patterns: a name, or the beginning of one and a `*`.
    ///
    /// # Errors
    /// The first pattern that matches no name.
    pub fn matching<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        let mut all = Self::NONE;
        for pattern in patterns {
            let of_it = Self::of(Kind::ALL.into_iter().filter(|kind| match pattern.strip_suffix('*') {
                Some(beginning) => kind.as_str().starts_with(beginning),
                None => kind.as_str() == pattern,
            }));
            if of_it.is_empty() {
                return Err(pattern);
            }
            all.0 |= of_it.0;
        }
        Ok(all)
    }

    /// These kinds.
    #[must_use]
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self(kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u16))
    }

    /// Whether the set has no kind.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set has this kind.
    #[must_use]
    pub fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// The kinds that both sets have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The kinds of the set.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.has(*kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_select_kinds_by_name() {
        let matching = |patterns: &[&'static str]| Kinds::matching(patterns.iter().copied());
        assert_eq!(matching(&["*"]), Ok(Kinds::ALL));
        assert_eq!(matching(&[]), Ok(Kinds::NONE));
        assert_eq!(matching(&["session.*"]), Ok(Kinds::of([Kind::SessionStarted, Kind::SessionEnded])));
        assert_eq!(matching(&["user.online", "message.*"]), Ok(Kinds::of([Kind::UserOnline, Kind::MessageStored])));
        assert_eq!(matching(&["user.*", "user"]), Err("user"));
        assert!(Kind::ALL.into_iter().all(|kind| Kind::parse(kind.as_str()) == Some(kind)));
        assert_eq!(Kinds::ALL.iter().collect::<Vec<_>>(), Kind::ALL);
    }
}
