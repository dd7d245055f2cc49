//! The id of a notification.

use std::fmt;

use uuid::Uuid;

/// Length of an id as text.
const HYPHENATED: usize = 36;

/// A UUID v7. Ids sort by time, also as text, and an inbox orders its notifications by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(Uuid);

impl NotificationId {
    /// A new id with the current time.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Parses the hyphenated form; `None` when the text is not a UUID v7 in that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == HYPHENATED);
        id.filter(|id| id.get_version_num() == 7).map(Self)
    }

    /// Its time, in Unix milliseconds.
    #[must_use]
    pub fn millis(&self) -> u64 {
        let [a, b, c, d, e, f, ..] = *self.0.as_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl Default for NotificationId {
    fn default() -> Self {
        Self::new()
    }
}

/// Hyphenated, in lower case.
impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_as_text_and_as_values() {
        let ids: Vec<_> = (0..100).map(|_| NotificationId::new()).collect();
        assert!(ids.is_sorted() && ids.iter().map(ToString::to_string).is_sorted());
        let parsed = NotificationId::parse("018BCFE5-6800-7000-8000-00000000002A").unwrap();
        assert_eq!(parsed.millis(), 1_700_000_000_000);
        assert_eq!(parsed.to_string(), "018bcfe5-6800-7000-8000-00000000002a");
        for odd in [
            "",
            "x",
            "018bcfe5-6800-4000-8000-00000000002a",
            "018bcfe5-6800-7000-8000-00000000002a ",
            "018bcfe568007000800000000000002a",
        ] {
            assert_eq!(NotificationId::parse(odd), None, "{odd}");
        }
    }
}
