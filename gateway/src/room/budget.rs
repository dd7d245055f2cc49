//! The memory budget for the messages that all rooms of a node keep, however many rooms there are.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes for all rooms of a node together.
pub(super) const MAX: usize = 32 * 1024 * 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Budget {
    taken: AtomicUsize,
}

/// One room's share of the budget, returned on drop.
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { budget, bytes: 0 }
    }

    /// Resizes the share to `bytes`. Returns false and changes nothing if the budget has no room for more.
    pub(super) fn resize(&mut self, bytes: usize) -> bool {
        let (more, less) = (bytes.saturating_sub(self.bytes), self.bytes.saturating_sub(bytes));
        let taken = &self.budget.taken;
        let resized = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            // Cannot underflow: a share returns only bytes that it took.
            let wanted = taken + more - less;
            (more == 0 || wanted <= MAX).then_some(wanted)
        });
        if resized.is_ok() {
            self.bytes = bytes;
        }
        resized.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_bounded_and_returned() {
        let budget = Arc::new(Budget::default());
        let (mut one, mut other) = (Share::new(Arc::clone(&budget)), Share::new(Arc::clone(&budget)));
        assert!(one.resize(MAX - 10));
        assert!(!other.resize(11));
        assert!(other.resize(10));
        assert!(!one.resize(MAX - 9));
        assert!(one.resize(5));
        assert!(other.resize(MAX - 5));
        drop(other);
        assert_eq!(budget.taken.load(Ordering::Relaxed), 5);
        drop(one);
        assert_eq!(budget.taken.load(Ordering::Relaxed), 0);
    }
}
