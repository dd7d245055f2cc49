//! A room's name within its namespace, checked once, on input.

use std::{fmt, sync::Arc};

/// Longest name, in characters.
const MAX: usize = 64;
/// Reserved prefix: no room's name may begin with it.
const RESERVED: &str = "user:";

/// A room of a namespace. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName {
    /// Begins with `/`.
    pub namespace: Arc<str>,
    /// 1 to 64 of letters, digits, `_ . : -`.
    pub name: Arc<str>,
}

impl RoomName {
    /// Between the namespace and the name in the text of a room's name. Neither has it.
    pub(crate) const SEPARATOR: char = '#';

    /// The room of this name; `None` if the name is not allowed.
    #[must_use]
    pub fn parse(namespace: &Arc<str>, name: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        let good = (1..=MAX).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with(RESERVED);
        good.then(|| Self { namespace: Arc::clone(namespace), name: name.into() })
    }

    /// The reverse of [`RoomName`]'s `Display`.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once(Self::SEPARATOR)?;
        Self::parse(&namespace.into(), name)
    }
}

/// `<namespace>#<name>`: unambiguous, because no name has a `#`.
impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.namespace, Self::SEPARATOR, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let parse = |name: &str| RoomName::parse(&"/chat".into(), name);
        for good in ["a", "A-1_b.c:d", &"x".repeat(64)] {
            assert_eq!(RoomName::from_text(&parse(good).unwrap().to_string()), parse(good));
        }
        for bad in ["", "user:1", "a b", "ä", "a#b", "a{b}", &"x".repeat(65)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
