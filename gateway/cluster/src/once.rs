//! Once-keys: an emission with a key is sent at most once in five minutes, by whichever node. Here is how a process keeps
//! them; over Redis each key is a string that is set in the same atomic step that sends.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// How long a key is remembered.
pub const REMEMBERED: Duration = Duration::from_mins(5);

/// The keys of a process, each with what the first use of it returned.
#[derive(Default)]
pub(crate) struct OnceKeys {
    used: HashMap<Box<str>, usize>,
    /// In the order of expiry.
    ending: VecDeque<(Instant, Box<str>)>,
}

impl OnceKeys {
    /// Runs `send` unless the key was used before, and returns its value and whether it ran; else the first use's value.
    pub(crate) fn once(&mut self, key: &str, send: impl FnOnce() -> usize) -> (usize, bool) {
        let now = Instant::now();
        while let Some((_, key)) = self.ending.pop_front_if(|(end, _)| *end <= now) {
            self.used.remove(&key);
        }
        if let Some(before) = self.used.get(key) {
            return (*before, false);
        }
        let value = send();
        self.used.insert(key.into(), value);
        self.ending.push_back((now + REMEMBERED, key.into()));
        (value, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_used_once_until_it_is_forgotten() {
        let mut keys = OnceKeys::default();
        assert_eq!(keys.once("a", || 3), (3, true));
        assert_eq!(keys.once("a", || 4), (3, false));
        assert_eq!(keys.once("b", || 5), (5, true));
        tokio::time::advance(REMEMBERED).await;
        assert_eq!(keys.once("a", || 6), (6, true));
        assert_eq!((keys.used.len(), keys.ending.len()), (1, 1));
    }
}
