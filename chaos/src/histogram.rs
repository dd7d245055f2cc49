//! A histogram of durations with 16 buckets to each doubling, so a percentile is accurate to about 6 %.

use std::time::Duration;

const STEPS: u64 = 16;
/// Covers values up to 2^40 microseconds; longer ones count in the last bucket.
const BUCKETS: usize = 37 * 16;

/// Counts of durations in microseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    longest: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, longest: 0 }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, microseconds: u64) {
        self.buckets[bucket(microseconds)] += 1;
        self.count += 1;
        self.longest = self.longest.max(microseconds);
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, theirs)| *mine += theirs);
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// The duration that so many in a thousand do not exceed, rounded up to the end of its bucket; zero if empty.
    pub fn permille(&self, permille: u64) -> Duration {
        let mut left = (self.count * permille).div_ceil(1_000);
        for (number, count) in self.buckets.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 && *count > 0 {
                return Duration::from_micros(ceiling(number).min(self.longest));
            }
        }
        Duration::ZERO
    }
}

fn bucket(value: u64) -> usize {
    let doublings = u64::from(value.max(STEPS).ilog2() - STEPS.ilog2());
    let number = doublings * STEPS + (value >> doublings);
    usize::try_from(number).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The highest value of a bucket.
fn ceiling(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let doublings = (bucket / STEPS).saturating_sub(1);
    ((bucket - doublings * STEPS + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_value_is_in_a_bucket_little_higher_than_itself(value in 0u64..1 << 39) {
            let highest = ceiling(bucket(value));
            prop_assert!(highest >= value && highest - value <= value / 15, "{value} {highest}");
        }
    }

    #[test]
    fn percentiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.permille(990), Duration::ZERO);
        (1..=1_000).for_each(|value| histogram.add(value));
        let close = |permille, value: u64| {
            let found = histogram.permille(permille).as_micros();
            assert!((u128::from(value)..=u128::from(value + value / 15)).contains(&found), "{permille}: {found}");
        };
        close(500, 500);
        close(990, 990);
        assert_eq!(histogram.permille(1_000), Duration::from_micros(1_000));
        let mut longer = Histogram::default();
        (0..1_000).for_each(|_| longer.add(5_000));
        longer.merge(&histogram);
        assert_eq!(longer.permille(1_000), Duration::from_micros(5_000));
        assert!(longer.permille(490) <= Duration::from_micros(1_050));
    }
}
