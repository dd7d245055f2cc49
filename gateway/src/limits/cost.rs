//! The cost of received data for its sender, in events: 1 for a short event, more for many bytes.

/// Bytes that cost as much as one event.
const BYTES_PER_EVENT: f64 = 16_384.0;
/// A shorter binary part costs as much as one of this many bytes.
const MIN_PART: usize = 1_024;

/// In events: at least 1 for an event, any fraction for binary parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost(pub(super) f64);

impl Cost {
    /// The cost of a short event.
    #[cfg(test)]
    pub(crate) const ONE: Self = Self(1.0);

    /// The cost of an event with `text` bytes of text, whose binary parts cost `parts`.
    pub(crate) fn event(text: usize, Self(parts): Self) -> Self {
        // Rounded down, so that all short events cost the same.
        Self(1.0 + (text as f64 / BYTES_PER_EVENT).floor() + parts)
    }

    /// No cost.
    pub(crate) const fn none() -> Self {
        Self(0.0)
    }

    /// Adds a binary part of this many bytes.
    pub(crate) fn with_part(self, bytes: usize) -> Self {
        Self(self.0 + bytes.max(MIN_PART) as f64 / BYTES_PER_EVENT)
    }
}

impl From<Cost> for f64 {
    fn from(Cost(events): Cost) -> Self {
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_parts_cost() {
        let none = Cost::none();
        assert_eq!(Cost::event(16_383, none), Cost::ONE);
        assert_eq!(Cost::event(65_536, none), Cost(5.0));
        assert_eq!(Cost::event(0, none.with_part(0).with_part(16_384)), Cost(1.0 + 1.0 / 16.0 + 1.0));
    }
}
