//! The messages that Redis pushes on one connection, in a bounded queue.
//!
//! Guarantees that the sender never waits, and that the receiver learns of lost messages: where the queue was full, it
//! gets [`Pushed::Lost`] after all messages that were queued before the loss was noticed. What a node then reads again
//! is newer than these. Does not say which messages were lost.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::mpsc;

/// An item for the receiver.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed<T> {
    Message(T),
    /// The queue was full, so at least one message was lost.
    Lost,
}

pub(super) struct PushQueue<T> {
    queue: mpsc::Receiver<T>,
    overflowed: Arc<AtomicBool>,
    /// A loss was noticed, and this many messages were queued then.
    before_loss: Option<usize>,
}

/// A queue of `capacity` messages: a function that adds one, and the receiver.
pub(super) fn push_queue<T>(capacity: usize) -> (impl Fn(T), PushQueue<T>) {
    let (sender, queue) = mpsc::channel(capacity);
    let overflowed = Arc::new(AtomicBool::new(false));
    let receiver = PushQueue { queue, overflowed: Arc::clone(&overflowed), before_loss: None };
    let push = move |message| {
        if sender.try_send(message).is_err() {
            overflowed.store(true, Ordering::Relaxed);
        }
    };
    (push, receiver)
}

impl<T> PushQueue<T> {
    /// The next message or loss; none once the sender is gone. A call that is cancelled loses nothing.
    pub(super) async fn recv(&mut self) -> Option<Pushed<T>> {
        if self.before_loss.is_none() && self.overflowed.swap(false, Ordering::Relaxed) {
            self.before_loss = Some(self.queue.len());
        }
        if self.before_loss.take_if(|left| *left == 0).is_some() {
            return Some(Pushed::Lost);
        }
        let message = self.queue.recv().await?;
        self.before_loss = self.before_loss.map(|left| left.saturating_sub(1));
        Some(Pushed::Message(message))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// `steps`: push a message, or receive.
        #[test]
        fn a_loss_is_reported_after_the_messages_before_it(steps in prop::collection::vec(any::<bool>(), 1..200)) {
            let (push, mut queue) = push_queue(4);
            let (mut pushed, mut received) = (0_u32, Vec::new());
            for pushes in steps {
                if pushes {
                    push(pushed);
                    pushed += 1;
                } else {
                    received.extend(queue.recv().now_or_never().flatten());
                }
            }
            drop(push);
            received.extend(std::iter::from_fn(|| queue.recv().now_or_never().flatten()));

            let place = |number: u32| received.iter().position(|item| *item == Pushed::Message(number));
            let kept: Vec<_> = (0..pushed).filter_map(place).collect();
            prop_assert!(kept.is_sorted(), "out of order: {received:?}");
            let reports = received.iter().filter(|item| **item == Pushed::Lost).count();
            prop_assert_eq!(received.len(), kept.len() + reports, "a message twice: {:?}", received);
            let lost: Vec<_> = (0..pushed).filter(|number| place(*number).is_none()).collect();
            prop_assert!(reports <= lost.len(), "nothing was lost: {received:?}");
            for number in lost {
                let after = (0..number).filter_map(place).max().unwrap_or(0);
                prop_assert!(received[after..].contains(&Pushed::Lost), "{number} is not reported: {received:?}");
            }
        }
    }
}
