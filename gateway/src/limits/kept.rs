//! The limits of users and addresses, by key. An entry is kept while it is in use or differs from a new one, up to a bound.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;

/// One sweep covers one shard, so that it is short.
const SHARDS: usize = 64;
/// Most unused entries of a shard; above that, they are dropped even if they differ from new ones.
const MAX: usize = 4_096;

/// A value that [`Kept`] can hold.
pub(crate) trait Keep {
    /// Whether the entry equals a new one, so that dropping it makes no difference.
    fn is_as_new(&self, now: Instant) -> bool;
}

/// See the module.
pub(crate) struct Kept<K, V> {
    shards: Vec<Mutex<HashMap<K, Arc<V>>>>,
    hasher: RandomState,
    swept: AtomicUsize,
}

impl<K: Hash + Eq, V: Keep> Kept<K, V> {
    /// The entry of this key, created if there is none.
    pub(crate) fn entry(&self, key: K, now: Instant, new: impl FnOnce() -> V) -> Arc<V> {
        let shard = usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or(0);
        let mut entries = self.shards[shard].lock();
        if let Some(entry) = entries.get(&key) {
            return Arc::clone(entry);
        }
        if entries.len() >= MAX {
            entries.retain(|_, entry| Arc::strong_count(entry) > 1 || !entry.is_as_new(now));
            if entries.values().filter(|entry| Arc::strong_count(entry) == 1).count() >= MAX {
                entries.retain(|_, entry| Arc::strong_count(entry) > 1);
            }
        }
        let entry = Arc::new(new());
        entries.insert(key, Arc::clone(&entry));
        entry
    }

    /// Drops the unused entries of one shard that equal new ones. Call it repeatedly.
    pub(crate) fn sweep(&self, now: Instant) {
        let shard = self.swept.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut entries = self.shards[shard].lock();
        // Nobody can clone an entry while the lock is held.
        entries.retain(|_, entry| Arc::strong_count(entry) > 1 || !entry.is_as_new(now));
        if entries.len() * 4 < entries.capacity() {
            entries.shrink_to_fit();
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|entries| entries.lock().len()).sum()
    }
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            swept: AtomicUsize::new(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    struct Until(Instant);

    impl Keep for Until {
        fn is_as_new(&self, now: Instant) -> bool {
            now >= self.0
        }
    }

    #[test]
    fn entries_in_use_or_with_history_stay() {
        let (kept, start) = (Kept::<u32, Until>::default(), Instant::now());
        let later = start + Duration::from_secs(10);
        let held = kept.entry(0, start, || Until(start));
        for key in 1..=100 {
            drop(kept.entry(key, start, || Until(if key <= 50 { start } else { later })));
        }
        let sweep_all = |now| (0..SHARDS).for_each(|_| kept.sweep(now));
        sweep_all(start);
        assert_eq!(kept.len(), 51);
        assert!(Arc::ptr_eq(&held, &kept.entry(0, start, || unreachable!("it is known"))));
        sweep_all(later);
        assert_eq!(kept.len(), 1);
        drop(held);
        sweep_all(later);
        assert_eq!(kept.len(), 0);
    }

    #[test]
    fn the_number_of_unused_entries_is_bounded() {
        let (kept, start) = (Kept::<u32, Until>::default(), Instant::now());
        let later = start + Duration::from_secs(10);
        let held = kept.entry(u32::MAX, start, || Until(later));
        for key in 0..600_000 {
            drop(kept.entry(key, start, || Until(later)));
        }
        assert!(kept.len() <= SHARDS * (MAX + 1), "{}", kept.len());
        assert!(Arc::ptr_eq(&held, &kept.entry(u32::MAX, start, || unreachable!("it is held"))));
    }
}
