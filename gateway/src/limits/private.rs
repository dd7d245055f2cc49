//! Limits one user's messages to single other users: a bucket for each recipient, and one for all recipients together.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use super::{Bucket, Rate};

/// The bucket for all recipients holds this many times as much as that of one.
const ALL: u32 = 4;

/// One sender's buckets. A recipient's bucket is dropped once it is full again, so the bucket for all recipients bounds
/// their number.
pub(super) struct Private {
    all: Bucket,
    /// By the user's hash: users with equal hashes share a bucket.
    to: HashMap<u64, Bucket>,
    hasher: RandomState,
}

impl Private {
    pub(super) fn new(each: Rate, now: Instant) -> Self {
        Self { all: Bucket::full(each.times(ALL), now), to: HashMap::new(), hasher: RandomState::new() }
    }

    /// Takes a message to `user`.
    pub(super) fn take(&mut self, user: &str, each: Rate, now: Instant) -> Result<(), Duration> {
        if each.is_unlimited() {
            return Ok(());
        }
        let all = each.times(ALL);
        self.all.ready(all, now)?;
        let key = self.hasher.hash_one(user);
        if !self.to.contains_key(&key) {
            self.to.retain(|_, bucket| !bucket.is_full(each, now));
        }
        self.to.entry(key).or_insert_with(|| Bucket::full(each, now)).take(each, now)?;
        self.all.take(all, now)
    }

    pub(super) fn is_full(&self, each: Rate, now: Instant) -> bool {
        self.all.is_full(each.times(ALL), now) && self.to.values().all(|bucket| bucket.is_full(each, now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// In any order of messages, no recipient gets more than one bucket's worth, all together at most four, and the
        /// number of buckets is bounded.
        #[test]
        fn each_and_all_are_bounded(
            rate in 1_u32..20, burst in 1_u32..50, messages in prop::collection::vec((0_u32..1_000, 0_u64..20), 1..1_000)
        ) {
            let (each, start) = (Rate::new(rate, burst), Instant::now());
            let mut private = Private::new(each, start);
            let (mut elapsed, mut sent) = (0, HashMap::<u32, u64>::new());
            for (user, pause) in messages {
                elapsed += pause;
                if private.take(&user.to_string(), each, start + Duration::from_millis(elapsed)).is_ok() {
                    *sent.entry(user).or_default() += 1;
                }
            }
            let max = |factor: u32| u64::from(factor * burst) + elapsed * u64::from(factor * rate) / 1_000 + 1;
            prop_assert!(sent.values().all(|count| *count <= max(1)));
            prop_assert!(sent.values().sum::<u64>() <= max(ALL));
            // Each bucket that is left was used within the time that one takes to fill.
            prop_assert!(private.to.len() as u32 <= ALL * 2 * burst + ALL * rate + 1, "{}", private.to.len());
            let later = start + Duration::from_millis(elapsed) + Duration::from_mins(2);
            prop_assert!(private.is_full(each, later));
        }
    }
}
