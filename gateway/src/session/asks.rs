//! Questions that backends ask sockets through this node, and the answers so far.
//!
//! Guarantees: the number of questions, and the number and bytes of each one's answers, are bounded; a socket's first
//! answer counts, and no other; a reply to a question that is over is dropped. Deliberately asks nobody: the layer above
//! does.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use jackfield_cluster::{
    ids::SocketId,
    wire::{Found, Reply},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most questions that wait at a time.
const MAX_ASKS: usize = 1_000;
/// Most answers to a question.
pub(crate) const MAX_ANSWERS: usize = 1_000;
/// Most bytes of all answers to a question. Answers above it are dropped.
const MAX_BYTES: usize = 1024 * 1024;

/// See the module.
#[derive(Default)]
pub(crate) struct Asks {
    waiting: Mutex<HashMap<u64, Arc<Collected>>>,
    last: AtomicU64,
}

/// The answers to one question.
#[derive(Default)]
struct Collected {
    answers: Mutex<Answers>,
    /// A reply arrived.
    replied: Notify,
}

/// The replies so far.
#[derive(Default)]
pub(crate) struct Answers {
    /// How many sockets each node found in each namespace.
    found: HashMap<(Arc<str>, Arc<str>), usize>,
    /// In the order of arrival.
    pub(crate) acks: Vec<Answer>,
    answered: HashSet<SocketId>,
    bytes: usize,
}

/// One socket's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) socket: SocketId,
    pub(crate) user: Arc<str>,
    /// A JSON array, or the same with binary parts in the engine's encoding.
    pub(crate) args: Bytes,
}

/// A question that waits. Dropped, it is over.
pub(crate) struct Asking<'a> {
    asks: &'a Asks,
    pub(crate) id: u64,
    collected: Arc<Collected>,
}

impl Asks {
    /// Begins a question; `None` if too many wait.
    pub(crate) fn begin(&self) -> Option<Asking<'_>> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MAX_ASKS {
            return None;
        }
        let (id, collected) = (self.last.fetch_add(1, Ordering::Relaxed), Arc::<Collected>::default());
        waiting.insert(id, Arc::clone(&collected));
        Some(Asking { asks: self, id, collected })
    }

    /// A reply arrived.
    pub(crate) fn receive(&self, Reply { id, found }: Reply, bytes: Bytes) {
        let Some(collected) = self.waiting.lock().get(&id).cloned() else { return };
        collected.answers.lock().add(found, bytes);
        collected.replied.notify_one();
    }
}

impl Answers {
    fn add(&mut self, found: Found, args: Bytes) {
        match found {
            Found::Sockets { node, namespace, count } => drop(self.found.insert((node, namespace), count)),
            Found::Acknowledged { socket, user } => {
                let is_first = self.answered.insert(socket);
                if is_first && self.acks.len() < MAX_ANSWERS && self.bytes + args.len() <= MAX_BYTES {
                    self.bytes += args.len();
                    self.acks.push(Answer { socket, user, args });
                }
            }
        }
    }

    /// How many replies of nodes there are, one for each namespace.
    pub(crate) fn replies(&self) -> usize {
        self.found.len()
    }

    /// How many sockets were found.
    pub(crate) fn found(&self) -> usize {
        self.found.values().sum()
    }

    /// How many sockets have answered, also those whose answers were dropped.
    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }
}

impl Asking<'_> {
    /// Waits until the replies are enough.
    pub(crate) async fn until(&self, enough: impl Fn(&Answers) -> bool) {
        loop {
            // A reply between the check and the wait leaves a permit.
            if enough(&self.collected.answers.lock()) {
                return;
            }
            self.collected.replied.notified().await;
        }
    }

    /// The replies so far, taken out.
    pub(crate) fn take(&self) -> Answers {
        std::mem::take(&mut *self.collected.answers.lock())
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.asks.waiting.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(socket: u8) -> Found {
        Found::Acknowledged { socket: [socket; 15].into(), user: "u".into() }
    }

    #[tokio::test]
    async fn replies_are_collected_until_they_are_enough() {
        let asks = Asks::default();
        let asking = asks.begin().unwrap();
        let other = asks.begin().unwrap();
        let id = asking.id;
        asks.receive(
            Reply { id, found: Found::Sockets { node: "n".into(), namespace: "/".into(), count: 2 } },
            Bytes::new(),
        );
        for (socket, args) in [(1, "[1]"), (1, "[2]"), (2, "[3]")] {
            asks.receive(Reply { id, found: ack(socket) }, args.into());
        }
        asking.until(|answers| answers.replies() == 1 && answers.answered() == answers.found()).await;
        let args: Vec<_> = asking.take().acks.into_iter().map(|answer| answer.args).collect();
        assert_eq!(args, ["[1]", "[3]"]);
        assert_eq!(other.take().replies(), 0);
        drop(asking);
        asks.receive(Reply { id, found: ack(1) }, Bytes::new());
        assert_eq!(asks.waiting.lock().len(), 1);
    }

    #[test]
    fn questions_and_answers_are_bounded() {
        let asks = Asks::default();
        let all: Vec<_> = std::iter::from_fn(|| asks.begin()).collect();
        assert_eq!(all.len(), MAX_ASKS);
        let mut answers = Answers::default();
        for socket in 0..100 {
            answers.add(ack(socket), Bytes::from(vec![b' '; 20_000]));
        }
        assert_eq!((answers.acks.len(), answers.answered()), (MAX_BYTES / 20_000, 100));
    }
}
