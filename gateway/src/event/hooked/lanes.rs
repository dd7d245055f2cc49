//! The events that wait for a hook: one lane for each socket and hook, in order, bounded in number and in bytes.
//!
//! A lane exists while a task handles its events, so a socket without such events needs no memory for it. Deliberately
//! handles nothing itself.

use std::collections::{BTreeMap, VecDeque};

use jackfield_cluster::ids::SessionKey;
use parking_lot::Mutex;

/// A connection, and the number of a hook. A hook has one namespace, so this is one socket.
pub(super) type Key = (SessionKey, usize);

/// See the module.
pub(super) struct Lanes<T>(Mutex<BTreeMap<Key, Lane<T>>>);

/// The events that wait behind the one that is being handled.
struct Lane<T> {
    waiting: VecDeque<(usize, T)>,
    bytes: usize,
}

/// The outcome of pushing an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed<T> {
    /// The caller must handle it now, and then call [`Lanes::pop`].
    Start(T),
    /// It waits for those before it.
    Queued,
    /// The lane is full.
    Full,
}

/// Limits of a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Events; 0 for no limit.
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl<T> Default for Lanes<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Lanes<T> {
    /// Adds an event of this many bytes.
    pub(super) fn push(&self, key: Key, bytes: usize, event: T, limits: Limits) -> Pushed<T> {
        let mut lanes = self.0.lock();
        let Some(lane) = lanes.get_mut(&key) else {
            lanes.insert(key, Lane { waiting: VecDeque::new(), bytes: 0 });
            return Pushed::Start(event);
        };
        let is_full = (limits.count > 0 && lane.waiting.len() >= limits.count)
            || (!lane.waiting.is_empty() && lane.bytes.saturating_add(bytes) > limits.bytes);
        if is_full {
            return Pushed::Full;
        }
        lane.bytes += bytes;
        lane.waiting.push_back((bytes, event));
        Pushed::Queued
    }

    /// The next event of a lane; with `None`, the lane has ended.
    pub(super) fn pop(&self, key: Key) -> Option<T> {
        let mut lanes = self.0.lock();
        let lane = lanes.get_mut(&key)?;
        match lane.waiting.pop_front() {
            Some((bytes, event)) => {
                lane.bytes -= bytes;
                Some(event)
            }
            None => {
                lanes.remove(&key);
                None
            }
        }
    }

    /// Whether an event of this connection waits or is being handled.
    pub(super) fn has(&self, session: SessionKey) -> bool {
        self.0.lock().range((session, 0)..=(session, usize::MAX)).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { count: 5, bytes: 100 };

    #[test]
    fn a_lane_exists_while_it_is_in_use() {
        let (lanes, session) = (Lanes::default(), SessionKey::random());
        assert!(!lanes.has(session));
        assert_eq!(lanes.push((session, 1), 1, "a", LIMITS), Pushed::Start("a"));
        assert_eq!(lanes.push((session, 1), 1, "b", LIMITS), Pushed::Queued);
        assert_eq!(lanes.push((session, 0), 1, "c", LIMITS), Pushed::Start("c"), "another hook does not wait");
        assert_eq!(lanes.push((SessionKey::random(), 1), 1, "d", LIMITS), Pushed::Start("d"), "another socket neither");
        assert_eq!(lanes.pop((session, 1)), Some("b"));
        assert_eq!(lanes.pop((session, 1)), None);
        assert!(lanes.has(session));
        assert_eq!(lanes.pop((session, 0)), None);
        assert!(!lanes.has(session));
    }

    proptest! {
        #[test]
        fn lanes_are_bounded_and_in_order(
            steps in prop::collection::vec((0usize..3, prop::option::of(0usize..60)), 1..200),
        ) {
            let (lanes, session) = (Lanes::default(), SessionKey::random());
            let mut expected: BTreeMap<usize, VecDeque<(usize, usize)>> = BTreeMap::new();
            for (number, (hook, step)) in steps.into_iter().enumerate() {
                let key = (session, hook);
                match step {
                    Some(bytes) => match (lanes.push(key, bytes, number, LIMITS), expected.get_mut(&hook)) {
                        (Pushed::Start(started), None) => {
                            prop_assert_eq!(started, number);
                            expected.insert(hook, VecDeque::new());
                        }
                        (Pushed::Queued, Some(lane)) => lane.push_back((bytes, number)),
                        (Pushed::Full, Some(lane)) => {
                            let sum: usize = lane.iter().map(|(bytes, _)| bytes).sum();
                            prop_assert!(lane.len() == LIMITS.count || sum + bytes > LIMITS.bytes);
                        }
                        (pushed, _) => prop_assert!(false, "{pushed:?}"),
                    },
                    None => {
                        let next = expected.get_mut(&hook).and_then(VecDeque::pop_front).map(|(_, number)| number);
                        prop_assert_eq!(lanes.pop(key), next);
                        if next.is_none() {
                            expected.remove(&hook);
                        }
                    }
                }
                for lane in expected.values() {
                    let sum: usize = lane.iter().map(|(bytes, _)| bytes).sum();
                    prop_assert!(lane.len() <= LIMITS.count && (sum <= LIMITS.bytes || lane.len() == 1));
                }
            }
        }
    }
}
