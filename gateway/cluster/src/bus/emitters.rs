//! Messages that backends publish on the same Redis with `@socket.io/redis-emitter`, for nodes that listen to them.
//!
//! Guarantees: a node gets each message at most once, in the order in which Redis published them; while its connection is
//! lost it gets none, as a server of Socket.IO would. The queue is bounded in number and in bytes: what does not fit is
//! dropped, counted and logged. Deliberately does not decode them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::metrics;

/// Messages that may wait.
const QUEUE: usize = 4_096;
/// Bytes that may wait.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Longest message.
const LONGEST: usize = 1024 * 1024;
/// Time between two log lines about dropped messages.
const LOG_AGAIN: Duration = Duration::from_mins(1);

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmitterMessage {
    /// The channel's name after the prefix: `#<namespace>#`, `#<namespace>#<room>#`, or `-request#<namespace>#`.
    pub channel: String,
    /// As it was published.
    pub payload: Bytes,
}

/// The messages that have arrived.
pub struct EmitterMessages {
    queue: mpsc::Receiver<EmitterMessage>,
    bytes: Arc<AtomicUsize>,
}

/// The way into the queue.
pub(super) struct EmitterQueue {
    prefix: String,
    queue: mpsc::Sender<EmitterMessage>,
    bytes: Arc<AtomicUsize>,
    /// When a dropped message was last logged.
    logged: Option<Instant>,
}

/// A queue for messages on channels that begin with this prefix.
pub(super) fn queue(prefix: &str) -> (EmitterQueue, EmitterMessages) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let bytes = Arc::<AtomicUsize>::default();
    let queue = EmitterQueue { prefix: prefix.to_owned(), queue: sender, bytes: Arc::clone(&bytes), logged: None };
    (queue, EmitterMessages { queue: receiver, bytes })
}

impl EmitterMessages {
    /// The next message; `None` once the node has ended.
    pub async fn recv(&mut self) -> Option<EmitterMessage> {
        let message = self.queue.recv().await?;
        self.bytes.fetch_sub(message.payload.len(), Ordering::Relaxed);
        Some(message)
    }
}

impl EmitterQueue {
    /// The patterns of the channels.
    pub(super) fn patterns(&self) -> [String; 2] {
        let prefix = escaped(&self.prefix);
        [format!("{prefix}#*"), format!("{prefix}-request#*")]
    }

    /// Queues a message, or drops it.
    pub(super) fn push(&mut self, channel: &[u8], payload: &[u8]) {
        let channel = std::str::from_utf8(channel).ok().and_then(|channel| channel.strip_prefix(&self.prefix));
        let (Some(channel), length) = (channel, payload.len()) else { return };
        let waiting = self.bytes.load(Ordering::Relaxed);
        if length <= LONGEST && waiting + length <= QUEUE_BYTES {
            let message = EmitterMessage { channel: channel.to_owned(), payload: Bytes::copy_from_slice(payload) };
            // Counted first, because the receiver may be faster.
            self.bytes.fetch_add(length, Ordering::Relaxed);
            if self.queue.try_send(message).is_ok() {
                return;
            }
            self.bytes.fetch_sub(length, Ordering::Relaxed);
        }
        metrics::EMITTER.add_for(["dropped"], 1);
        if self.logged.is_none_or(|at| at.elapsed() >= LOG_AGAIN) {
            self.logged = Some(Instant::now());
            tracing::warn!(bytes = length, waiting, "dropped an emitter's message: too long, or too much waits");
        }
    }
}

/// The text as a part of a pattern that stands for itself.
fn escaped(text: &str) -> String {
    let special = |c: char| "*?[]\\".contains(c);
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_queue_is_bounded_in_number_and_bytes() {
        for (length, expected) in [(10, QUEUE), (LONGEST, QUEUE_BYTES / LONGEST), (LONGEST + 1, 0)] {
            let (mut queue, mut messages) = queue("p");
            for _ in 0..QUEUE + 10 {
                queue.push(b"p#/#", &vec![0; length]);
            }
            let received = std::iter::from_fn(|| messages.recv().now_or_never().flatten()).count();
            assert_eq!((received, messages.bytes.load(Ordering::Relaxed)), (expected, 0), "{length}");
        }
    }

    #[test]
    fn patterns_stand_for_the_prefix_alone() {
        let (queue, _) = queue("a*[b]?\\");
        assert_eq!(queue.patterns()[0], "a\\*\\[b\\]\\?\\\\#*");
    }
}
