//! The interface through which connections pass events to the layer above, which handles them.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jackfield_cluster::{
    Unavailable,
    bus::Channel,
    ids::SessionKey,
    wire::{BusMessage, Command},
};
use jackfield_engine::{Frame, Parts};

use super::{Client, Connection, Shared, Subscriber, command::Outcome};

/// An event as it arrived.
#[derive(Clone, Copy)]
pub(crate) struct RawEvent<'a> {
    /// A JSON array of its name and arguments.
    pub(crate) content: &'a str,
    /// The binary parts that placeholders in the content refer to.
    pub(crate) parts: Option<&'a Parts>,
    /// The acknowledgement's id, if the client asks for one.
    pub(crate) ack: Option<i64>,
}

/// The sender of an event: a socket in a namespace.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) connection: &'a Arc<Connection>,
    pub(crate) client: &'a Arc<Client>,
}

impl Sender<'_> {
    /// Sends a frame to all sockets in the sender's namespace, on every node. This node's own members get it over the
    /// bus, too, so that all members receive frames in the same order.
    ///
    /// # Errors
    /// [`Unavailable`]: the frame may or may not have been sent.
    pub(crate) async fn broadcast(&self, frame: &Frame) -> Result<(), Unavailable> {
        let channel = Channel::Namespace(Arc::clone(&self.client.namespace.name));
        self.shared.cluster.bus.publish(&channel, BusMessage::Frame(frame.to_bus()).encode()).await
    }
}

/// The sender of an event: a feed's subscriber.
#[derive(Clone, Copy)]
pub(crate) struct SubscriberSender<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) subscriber: &'a Arc<Subscriber>,
}

/// A packet that is not a valid event: nothing after it can be decoded, and the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Handles events, and answers them; runs commands.
pub(crate) trait Dispatch: Send + Sync + 'static {
    /// Handles an event of a socket that can be answered at once. `None` for any other, which is not handled.
    fn handle_at_once(&self, sender: &Sender<'_>, event: RawEvent<'_>) -> Option<Result<(), Malformed>>;

    /// Handles an event of a socket.
    fn handle<'a>(&'a self, sender: Sender<'a>, event: RawEvent<'a>) -> BoxFuture<'a, Result<(), Malformed>>;

    /// Whether an event of this connection is still being handled although [`Dispatch::handle`] has returned.
    fn is_handling(&self, session: SessionKey) -> bool;

    /// Runs a backend's command for a socket.
    fn run<'a>(&self, sender: Sender<'a>, command: &'a Command) -> BoxFuture<'a, Outcome>;

    /// Handles an event of a feed's subscriber.
    fn handle_in_feed<'a>(
        &self,
        sender: SubscriberSender<'a>,
        event: RawEvent<'a>,
    ) -> BoxFuture<'a, Result<(), Malformed>>;
}
