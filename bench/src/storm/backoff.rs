//! The stock client's delay before it connects again. Pure.

use crate::clock::SECOND;

/// `reconnectionDelay`, `reconnectionDelayMax` and `randomizationFactor` of the stock client, by default.
const FIRST: u64 = SECOND;
const LONGEST: u64 = 5 * SECOND;

/// Nanoseconds until the next attempt after this many failed ones. `random` is any number.
pub fn delay(failures: u32, random: u64) -> u64 {
    let base = FIRST << failures.min(16);
    // Half as much more or less.
    let part = random % 1_000;
    let deviation = base / 2 / 1_000 * part;
    let jittered = if random & (1 << 40) == 0 { base - deviation } else { base + deviation };
    jittered.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_delay_grows_and_is_bounded(failures in 0u32..100, random: u64) {
            let delay = delay(failures, random);
            prop_assert!((SECOND / 2..=LONGEST).contains(&delay));
            prop_assert!(failures > 0 || delay <= FIRST * 3 / 2);
            prop_assert!(failures < 4 || delay == LONGEST);
        }
    }
}
