//! A queue that serves its keys in turn, without I/O and without a clock.
//!
//! Guarantees:
//! - Items of one key leave in the order they came in. Keys take turns: between two items of one key, the queue serves
//!   every other waiting key once. So a key with one item waits for at most one item of each other key.
//! - At most `per_key` items of one key wait, and at most `in_all` of all keys. When the whole queue is full, an item of a
//!   key with a short line takes the place of the last item of the longest line: no key can fill the queue for the others.
//!
//! Does not know what a key is: [`crate::passwords`] uses client addresses.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Names one waiting item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

/// Why an item may not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The key has as many waiting as one key may have.
    Key,
    /// The whole queue is full, and no key has a longer line than this one would have.
    All,
}

/// Items that wait, in one line for each key.
pub struct FairQueue<K, T> {
    lines: HashMap<K, VecDeque<(Ticket, T)>>,
    /// Every key with a line, once, in the order in which they are served.
    turns: VecDeque<K>,
    waiting: usize,
    per_key: usize,
    in_all: usize,
    tickets: u64,
}

impl<K: Hash + Eq + Clone, T> FairQueue<K, T> {
    /// An empty queue.
    #[must_use]
    pub fn new(per_key: usize, in_all: usize) -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), waiting: 0, per_key, in_all, tickets: 0 }
    }

    /// How many items wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether an item of `key` may wait now.
    ///
    /// # Errors
    /// [`Full`].
    pub fn check(&self, key: &K) -> Result<(), Full> {
        let line = self.line(key);
        if line >= self.per_key {
            return Err(Full::Key);
        }
        let has_room = self.waiting < self.in_all || self.longest().is_some_and(|key| self.line(key) > line + 1);
        if has_room { Ok(()) } else { Err(Full::All) }
    }

    /// Puts an item at the end of its key's line. The item that it displaced, if any, is dropped.
    ///
    /// # Errors
    /// [`Full`]; the item is dropped then.
    pub fn push(&mut self, key: K, item: T) -> Result<Ticket, Full> {
        self.check(&key)?;
        if self.waiting >= self.in_all
            && let Some(longest) = self.longest().cloned()
            && let Some((last, _)) = self.lines.get(&longest).and_then(VecDeque::back)
        {
            let last = *last;
            self.remove(&longest, last);
        }
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        if !self.lines.contains_key(&key) {
            self.turns.push_back(key.clone());
        }
        self.lines.entry(key).or_default().push_back((ticket, item));
        self.waiting += 1;
        Ok(ticket)
    }

    /// Takes the first item of the key that is next in turn. The key moves to the end of the turns.
    pub fn pop(&mut self) -> Option<T> {
        let key = self.turns.pop_front()?;
        let line = self.lines.get_mut(&key)?;
        let (_, item) = line.pop_front()?;
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        Some(item)
    }

    /// Takes an item out of its line. Returns `None` if it no longer waits.
    pub fn remove(&mut self, key: &K, ticket: Ticket) -> Option<T> {
        let line = self.lines.get_mut(key)?;
        let at = line.iter().position(|(waiting, _)| *waiting == ticket)?;
        let (_, item) = line.remove(at)?;
        self.waiting -= 1;
        if line.is_empty() {
            self.lines.remove(key);
            self.turns.retain(|other| other != key);
        }
        Some(item)
    }

    fn line(&self, key: &K) -> usize {
        self.lines.get(key).map_or(0, VecDeque::len)
    }

    fn longest(&self) -> Option<&K> {
        self.lines.iter().max_by_key(|(_, line)| line.len()).map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_item_waits_for_one_of_each_other_key() {
        let mut queue = FairQueue::new(100, 1_000);
        for number in 0..100 {
            queue.push("crowd", number).unwrap();
        }
        queue.push("ann", 1_000).unwrap();
        queue.push("bob", 2_000).unwrap();
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).take(4).collect();
        assert_eq!(served, [0, 1_000, 2_000, 1]);
    }

    #[test]
    fn a_full_queue_makes_room_for_a_short_line_only() {
        let mut queue = FairQueue::new(3, 4);
        for number in 0..3 {
            queue.push("crowd", number).unwrap();
        }
        assert_eq!(queue.push("crowd", 3), Err(Full::Key));
        queue.push("ann", 10).unwrap();
        let displacing = queue.push("bob", 20).unwrap();
        assert_eq!(queue.push("ann", 11), Err(Full::All), "no line is longer than this one would be");
        assert_eq!(queue.remove(&"bob", displacing), Some(20));
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(),
            [0, 10, 1],
            "the last of the crowd gave way"
        );
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Pop,
        Remove(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..6).prop_map(Step::Push),
            2 => Just(Step::Pop),
            1 => any::<usize>().prop_map(Step::Remove),
        ];
        prop::collection::vec(step, 1..400)
    }

    /// The model: a plain list of waiting items in order of arrival: key, ticket, number, and how often each key was
    /// served since.
    type Waiting = Vec<(u8, Ticket, u32, [u32; 6])>;

    proptest! {
        #[test]
        fn keys_take_turns_and_nothing_is_lost(steps in steps(), per_key in 1_usize..8, in_all in 1_usize..20) {
            let mut queue = FairQueue::new(per_key, in_all);
            let mut waiting: Waiting = Vec::new();
            let of_key = |waiting: &Waiting, key: u8| waiting.iter().filter(|item| item.0 == key).count();
            for (number, step) in (0..).zip(steps) {
                match step {
                    Step::Push(key) => {
                        let before = of_key(&waiting, key);
                        let longest = (0..6).map(|key| of_key(&waiting, key)).max().unwrap();
                        match queue.push(key, number) {
                            Err(Full::Key) => prop_assert_eq!(before, per_key),
                            Err(Full::All) => prop_assert!(waiting.len() == in_all && longest <= before + 1),
                            Ok(ticket) => {
                                if waiting.len() == in_all {
                                    // One of the longest lines has lost its last item.
                                    let gone = waiting.iter().rposition(|item| {
                                        of_key(&waiting, item.0) == longest && queue.line(&item.0) < longest
                                    });
                                    waiting.remove(gone.unwrap());
                                }
                                waiting.push((key, ticket, number, [0; 6]));
                            }
                        }
                    }
                    Step::Pop => {
                        let Some(served) = queue.pop() else {
                            prop_assert!(waiting.is_empty());
                            continue;
                        };
                        let at = waiting.iter().position(|item| item.2 == served).unwrap();
                        let (key, ..) = waiting.remove(at);
                        prop_assert!(!waiting[..at].iter().any(|item| item.0 == key), "its key's first");
                        for index in 0..waiting.len() {
                            waiting[index].3[usize::from(key)] += 1;
                            let (own, _, _, served) = waiting[index];
                            // The turns that its own key needs: past ones, those for items ahead of it, and its own.
                            let turns = served[usize::from(own)] + of_key(&waiting[..index].to_vec(), own) as u32 + 1;
                            prop_assert!(served.iter().all(|count| *count <= turns), "{served:?} of {turns} turns");
                        }
                    }
                    Step::Remove(which) if !waiting.is_empty() => {
                        let (key, ticket, number, _) = waiting.remove(which % waiting.len());
                        prop_assert_eq!(queue.remove(&key, ticket), Some(number));
                        prop_assert_eq!(queue.remove(&key, ticket), None);
                    }
                    Step::Remove(_) => {}
                }
                prop_assert_eq!(queue.len(), waiting.len());
                prop_assert!(queue.len() <= in_all && (0..6).all(|key| queue.line(&key) <= per_key));
                prop_assert_eq!(queue.turns.len(), queue.lines.len());
            }
            let mut rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            rest.sort_unstable();
            let mut expected: Vec<_> = waiting.iter().map(|item| item.2).collect();
            expected.sort_unstable();
            prop_assert_eq!(rest, expected);
        }
    }
}
