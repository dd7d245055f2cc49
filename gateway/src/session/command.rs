//! Commands of backends for one socket: joins and leaves of rooms, and its end. They wait in the queue of the connection's
//! packets, so that they run in one order with what the client sends.
//!
//! Guarantees: a command runs at most once, as a whole before or after any packet, and its caller learns the outcome; a
//! caller never waits for a connection that has ended. Deliberately checks no rule about roles: the backend decides.

use std::sync::Arc;

use futures_util::FutureExt as _;
use jackfield_cluster::wire::Command;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Connection, EventError, Sender,
    packet_queue::{Item, Ordering, QueueLimits},
};

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CommandError {
    /// The socket has left its namespace, or its connection is ending.
    #[error("the socket is gone")]
    Gone,
    /// The connection's queue is full.
    #[error("too much waits on the socket's connection")]
    Busy,
    /// A part of it was refused, or may have failed halfway.
    #[error("{0}")]
    Failed(#[from] EventError),
}

/// The outcome of a command.
pub(crate) type Outcome = Result<(), CommandError>;

/// A command that waits, and its caller.
pub(super) struct Ordered {
    namespace: Box<str>,
    command: Command,
    done: oneshot::Sender<Outcome>,
}

impl Ordered {
    pub(super) fn new(namespace: &str, command: Command) -> (Self, oneshot::Receiver<Outcome>) {
        let (done, outcome) = oneshot::channel();
        (Self { namespace: namespace.into(), command, done }, outcome)
    }

    /// Bytes that it takes in a queue.
    pub(super) fn bytes(&self) -> usize {
        self.namespace.len() + self.command.bytes()
    }

    pub(super) fn finish(self, outcome: Outcome) {
        // The caller may have given up.
        let _ = self.done.send(outcome);
    }
}

impl Connection {
    /// Orders a command for this connection's socket in a namespace: it runs after the packets that have arrived. The
    /// outcome comes within some seconds of its turn; dropping the future does not take the command back.
    pub(crate) async fn command(self: &Arc<Self>, namespace: &str, command: Command) -> Outcome {
        // The sender is dropped with the queue of an ended connection.
        self.order(namespace, command).await.unwrap_or(Err(CommandError::Gone))
    }

    /// Like [`Connection::command`], without waiting.
    pub(crate) fn order(self: &Arc<Self>, namespace: &str, command: Command) -> oneshot::Receiver<Outcome> {
        let (ordered, outcome) = Ordered::new(namespace, command);
        let limits = &self.shared.settings.limits;
        let room = QueueLimits { packets: limits.inbox as usize, bytes: limits.inbox_bytes as usize };
        let ordering = self.queue.lock().order(Box::new(ordered), room);
        match ordering {
            Ordering::Queued => {}
            Ordering::Start(at, ordered) => self.begin((at, Item::Command(ordered))),
            Ordering::Refused(ordered) => {
                let error = if self.is_closing() { CommandError::Gone } else { CommandError::Busy };
                ordered.finish(Err(error));
            }
        }
        outcome
    }

    /// Handles an item now as far as it need not wait, and the rest and the queue in a task.
    pub(super) fn begin(self: &Arc<Self>, item: (Instant, Item)) {
        let mut handling = Box::pin(Arc::clone(self).drain(item));
        if handling.as_mut().now_or_never().is_none() {
            self.shared.lifecycle.spawn(handling);
        }
    }

    /// Runs a command whose turn has come.
    pub(super) async fn run(self: &Arc<Self>, ordered: &Ordered) -> Outcome {
        let Some(client) = self.client(&ordered.namespace) else { return Err(CommandError::Gone) };
        let sender = Sender { shared: &self.shared, connection: self, client: &client };
        self.shared.dispatch.run(sender, &ordered.command).await
    }
}
