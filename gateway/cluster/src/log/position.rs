//! Positions in a room's order.

use std::{fmt, str::FromStr};

/// A position in a room's order. Sorts in that order, over epochs too, also as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Microseconds at which the epoch began, by the back end's clock.
    pub epoch: u64,
    /// The number of a message; 0 is before the first.
    pub number: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:014x}-{:012}", self.epoch, self.number)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, number) = text.split_once('-').ok_or(())?;
        let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits(epoch, 14) || !digits(number, 12) {
            return Err(());
        }
        let epoch = u64::from_str_radix(epoch, 16).map_err(drop)?;
        Ok(Self { epoch, number: number.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn positions_sort_and_parse_as_text(
            a in (0..1_u64 << 53, 0..1_000_000_000_000_u64), b in (0..1_u64 << 53, 0..1_000_000_000_000_u64)
        ) {
            let [a, b] = [a, b].map(|(epoch, number)| Position { epoch, number });
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Position>();
        }
    }
}
