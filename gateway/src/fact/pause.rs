//! Growing, jittered pauses between attempts. Pure.

/// The first pause and the longest, in milliseconds.
pub(super) const FIRST: u64 = 1_000;
pub(super) const LONGEST: u64 = 300_000;

/// The pause after this many failures in a row, in milliseconds. `jitter` is from 0 to 1, and shortens it by up to a
/// half, so that what failed together is not repeated together.
pub(super) fn pause(failures: u32, jitter: f64) -> u64 {
    let full = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(LONGEST);
    full - (full as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let full: Vec<u64> = (0..12).map(|failures| pause(failures, 0.0)).collect();
        assert_eq!(full[..6], [1_000, 1_000, 2_000, 4_000, 8_000, 16_000]);
        assert_eq!((full[11], pause(u32::MAX, 0.0)), (LONGEST, LONGEST));
        assert_eq!((pause(3, 1.0), pause(3, 7.0)), (2_000, 2_000));
    }
}
