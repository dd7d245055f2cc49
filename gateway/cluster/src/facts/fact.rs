//! One fact, and its id.

use std::{fmt, str::FromStr};

use crate::{facts::kind::Kind, partition::Partition};

/// A fact's id, unique over epochs too: its partition, when it was recorded, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FactId {
    /// The partition.
    pub partition: Partition,
    /// When it was recorded, in microseconds since the Unix epoch, by the back end's clock.
    pub at: u64,
    /// Its number in the partition.
    pub number: u64,
}

/// `fact_<partition>-<time, 14 hex digits>-<number, 12 digits>`.
impl fmt::Display for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fact_{:02}-{:014x}-{:012}", self.partition.number(), self.at, self.number)
    }
}

impl FromStr for FactId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_prefix("fact_").ok_or(())?.splitn(3, '-');
        let mut next = |length| {
            let part = parts.next().filter(|part| part.len() == length);
            part.filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit())).ok_or(())
        };
        let partition = next(2)?.parse().ok().and_then(Partition::new).ok_or(())?;
        let at = u64::from_str_radix(next(14)?, 16).map_err(drop)?;
        Ok(Self { partition, at, number: next(12)?.parse().map_err(drop)? })
    }
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its id.
    pub id: FactId,
    /// The kind of event.
    pub kind: Kind,
    /// To whom or what, as a JSON object.
    pub data: Box<str>,
}

impl Fact {
    /// The fact of this number in the text that is stored: `<time> <kind> <data>`. `None` for a kind that only a newer
    /// version knows.
    pub(crate) fn parse(partition: Partition, number: u64, text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let at = parts.next()?.parse().ok()?;
        let kind = Kind::parse(parts.next()?)?;
        Some(Self { id: FactId { partition, at, number }, kind, data: parts.next()?.into() })
    }

    /// The reverse of [`Fact::parse`].
    pub(crate) fn text(&self) -> String {
        format!("{} {} {}", self.id.at, self.kind.as_str(), self.data)
    }

    /// The user or room that the fact is about: facts of one subject are in order.
    #[must_use]
    pub fn subject(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Subject<'a> {
            #[serde(borrow)]
            namespace: Option<std::borrow::Cow<'a, str>>,
            #[serde(borrow)]
            room: Option<std::borrow::Cow<'a, str>>,
            #[serde(borrow)]
            user: Option<std::borrow::Cow<'a, str>>,
        }
        let Ok(subject) = serde_json::from_str::<Subject<'_>>(&self.data) else { return String::new() };
        let (namespace, room) = (subject.namespace.unwrap_or_default(), subject.room.unwrap_or_default());
        match self.kind {
            Kind::SessionStarted | Kind::SessionEnded | Kind::UserOnline | Kind::UserOffline => {
                format!("user {}", subject.user.unwrap_or_default())
            }
            Kind::RoomOccupied | Kind::RoomVacated | Kind::RoomJoined | Kind::RoomLeft | Kind::MessageStored => {
                format!("room {namespace}#{room}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fact(kind: Kind, data: &str) -> Fact {
        let id = FactId { partition: Partition::of("u"), at: 1_700_000_000_000_000, number: 7 };
        Fact { id, kind, data: data.into() }
    }

    #[test]
    fn facts_survive_their_text_and_have_a_subject() {
        let of_user = fact(Kind::SessionEnded, r#"{"session":"s","user":"ann b","reason":"client"}"#);
        assert_eq!(Fact::parse(of_user.id.partition, 7, &of_user.text()), Some(of_user.clone()));
        assert_eq!(of_user.subject(), "user ann b");
        let of_room = fact(Kind::RoomJoined, r#"{"namespace":"\/chat","room":"r","user":"ann"}"#);
        assert_eq!(of_room.subject(), "room /chat#r");
        assert_eq!(Fact::parse(of_user.id.partition, 7, "1 user.strange {}"), None);
    }

    proptest! {
        #[test]
        fn ids_survive_their_text(number in 0..16_u8, at in 0..1_u64 << 53, count in 0..1_000_000_000_000_u64) {
            let id = FactId { partition: Partition::new(number).unwrap(), at, number: count };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn any_text_parses_without_panic(text in "(fact_)?\\PC{0,40}") {
            let _ = text.parse::<FactId>();
        }
    }
}
