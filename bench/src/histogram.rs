//! A histogram of times with a relative error below 1 %, in constant memory.

/// Buckets per power of two; a value's error is at most half a bucket: 0.4 %.
const STEPS: u64 = 128;
const STEPS_LOG2: u32 = STEPS.trailing_zeros();

/// Counts of nanoseconds.
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], total: 0 }
    }
}

impl Histogram {
    /// Adds a time in nanoseconds.
    pub fn add(&mut self, nanoseconds: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// Number of times.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The time in milliseconds that `percent` of all times do not exceed; none if the histogram is empty.
    pub fn percentile(&self, percent: u64) -> Option<f64> {
        let wanted = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map(|bucket| middle(bucket) / 1e6)
    }
}

/// Exact below `STEPS`; above, the highest bit and the bits after it choose the bucket.
fn bucket(value: u64) -> usize {
    let index = match value.checked_ilog2() {
        Some(log) if log >= STEPS_LOG2 => {
            let shift = log - STEPS_LOG2;
            (u64::from(shift) + 1) * STEPS + ((value >> shift) - STEPS)
        }
        _ => value,
    };
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The middle of a bucket, in nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "the error of a bucket is far larger")]
fn middle(bucket: usize) -> f64 {
    let bucket = bucket as u64;
    let (power, step) = (bucket / STEPS, bucket % STEPS);
    if power == 0 {
        return step as f64;
    }
    let width = 2_f64.powi(i32::try_from(power - 1).unwrap_or(i32::MAX));
    ((STEPS + step) as f64 + 0.5) * width
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_of_a_uniform_range() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        for microseconds in 1..=100_000 {
            histogram.add(microseconds * 1_000);
        }
        for (percent, expected) in [(50, 50.0), (90, 90.0), (99, 99.0), (100, 100.0)] {
            let found = histogram.percentile(percent).unwrap();
            assert!((found - expected).abs() < expected * 0.01, "p{percent} is {found}");
        }
    }

    proptest! {
        #[test]
        fn the_error_is_below_one_percent(value: u64) {
            let error = (middle(bucket(value)) - value as f64).abs();
            prop_assert!(error <= value as f64 * 0.01, "{value}: {error}");
        }

        #[test]
        fn larger_values_are_in_later_buckets(a: u64, b: u64) {
            prop_assert_eq!(bucket(a.min(b)) <= bucket(a.max(b)), true);
        }
    }
}
