//! Receives a client's packets: queued on arrival, handled one after the other.
//!
//! Guarantees: packets are handled in the order of their arrival, by one task at a time, and by none while there is
//! nothing to handle; packets that exceed the rate are refused and not queued.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Instant};

use futures_util::FutureExt as _;
use jackfield_shared::{
    ids::new_id,
    trace::{Span, within},
};

use super::{
    Connection, connect,
    inbox::{Arrival, InboxLimits},
};
use crate::{
    cluster::{
        TIMEOUT,
        deadline::{self, Wait},
    },
    engine::{Excess, Inbound},
    event::{self, EventError, Malformed},
    ops::metrics,
};

impl Connection {
    /// Counts a message that completes no event: a part of one, or a packet that the gateway ignores.
    pub fn receive_part(self: &Arc<Self>, bytes: usize) {
        if self.inbox.lock().part(bytes, self.node.settings.limits.flood()) {
            self.flooding();
        }
    }

    /// Queues a packet whose text has `text` bytes; its binary parts were counted before. Never waits: the transport's
    /// reader calls it.
    pub fn receive(self: &Arc<Self>, packet: Inbound, text: usize) {
        let limits = &self.node.settings.limits;
        let room = InboxLimits { packets: limits.inbox as usize, bytes: limits.inbox_bytes as usize };
        let arrival = self.inbox.lock().push(packet, text, limits.flood(), room);
        match arrival {
            Arrival::Queued => {}
            Arrival::Start => {
                self.node.lifecycle.spawn(Arc::clone(self).drain());
            }
            Arrival::Limited { packet, retry_after_ms } => {
                metrics::RATE_LIMITED.add(1);
                self.refuse(&packet, &EventError::RateLimited { retry_after_ms });
            }
            Arrival::Flooding => self.flooding(),
        }
    }

    /// Accepts no more packets: the connection is about to be closed. Packets already received are still handled.
    pub fn let_go(&self) {
        self.inbox.lock().shut();
    }

    /// Whether [`Connection::let_go`] was called.
    #[must_use]
    pub fn is_let_go(&self) -> bool {
        self.inbox.lock().is_shut()
    }

    /// Whether all received packets were handled: after [`Connection::let_go`] nothing more is claimed or noted then.
    #[must_use]
    pub fn is_handled(&self) -> bool {
        self.inbox.lock().is_done()
    }

    /// Whether all received packets were handled, and [`Connection::close`] would cut off no answer.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.is_handled() && self.outbox.is_flushed()
    }

    async fn drain(self: Arc<Self>) {
        // The back end timed out for the previous packet. The packets queued behind it have waited for the back end
        // too, so their time counts from their arrival; otherwise it counts from the start of their handling.
        let mut stalled = false;
        loop {
            // Not a `while let`: the lock must be free while the packet is handled.
            let next = self.inbox.lock().pop();
            let Some((came, packet)) = next else { return };
            let since = if stalled { came } else { Instant::now() };
            let mut handling =
                pin!(deadline::allow(since + TIMEOUT, within(self.span(&packet), self.handle(&packet))));
            if AssertUnwindSafe(handling.as_mut()).catch_unwind().await.is_err() {
                let id = new_id();
                tracing::error!(id, session = %self.id, "a packet's handling panicked");
                self.refuse(&packet, &EventError::Internal { id });
            }
            if let Some(wait) = deadline::last_wait(handling) {
                stalled = wait == Wait::TimedOut;
            }
        }
    }

    /// The trace span of a packet's handling. An event's name is known once it is parsed.
    fn span(&self, packet: &Inbound) -> Option<Span> {
        let (name, namespace) = match packet {
            Inbound::Connect { namespace, .. } => ("connect", namespace),
            Inbound::Event { namespace, .. } => ("event", namespace),
            Inbound::Disconnect { .. } | Inbound::Refused { .. } | Inbound::Malformed => return None,
        };
        let span = Span::begin(|| name.into())?;
        Some(span.with("session.id", self.id.to_string()).with("namespace", namespace.to_string()))
    }

    async fn handle(self: &Arc<Self>, packet: &Inbound) {
        match packet {
            Inbound::Connect { namespace, auth } => connect::connect(self, namespace, auth.as_ref()).await,
            Inbound::Disconnect { .. } if !self.outbox.is_admitted() => self.malformed(),
            Inbound::Disconnect { namespace } => {
                self.leave(namespace);
                if self.is_idle() {
                    // The client may join another namespace.
                    self.node.idle.watch(self);
                }
            }
            Inbound::Event { namespace, content, ack, parts } => {
                let handled = if let Some(client) = self.socket(namespace) {
                    event::dispatch(&client, content, parts.as_ref(), *ack).await
                } else if let Some(reader) = self.reader(namespace) {
                    event::dispatch_in_feed(&reader, content, parts.as_ref(), *ack).await
                } else if !self.outbox.is_admitted() {
                    Err(Malformed)
                } else {
                    // The client sent it before it knew that it had left the namespace.
                    Ok(())
                };
                if handled.is_err() {
                    self.malformed();
                }
            }
            Inbound::Refused { excess, .. } => {
                let limits = &self.node.settings.limits;
                let error = match excess {
                    Excess::Bytes => EventError::PayloadTooLarge { max: limits.payload as usize },
                    Excess::Parts => EventError::Validation(format!(
                        "at most {} attachments (binary parts) per event",
                        limits.attachments
                    )),
                };
                self.refuse(packet, &error);
            }
            Inbound::Malformed => self.malformed(),
        }
    }

    /// The client sent something that is no packet of the protocol: nothing after it can be decoded, so the connection
    /// ends, as with Node's server. A stock client reconnects by itself.
    fn malformed(self: &Arc<Self>) {
        metrics::MALFORMED.add(1);
        tracing::debug!(session = %self.id, "closing a connection that sent a malformed packet");
        self.close();
    }

    /// Answers a packet with an error, without handling it.
    fn refuse(&self, packet: &Inbound, error: &EventError) {
        match packet {
            Inbound::Event { namespace, content, ack, .. } => {
                self.answer(namespace, *ack, error, &content.event_name());
            }
            Inbound::Refused { namespace, event, ack, .. } => self.answer(namespace, *ack, error, event),
            // A stock client whose CONNECT was not answered reconnects by itself.
            Inbound::Connect { .. } | Inbound::Malformed => self.close(),
            Inbound::Disconnect { namespace } => self.leave(namespace),
        }
    }

    fn answer(&self, namespace: &str, ack: Option<i64>, error: &EventError, event: &str) {
        if let Some(client) = self.socket(namespace) {
            event::answer(&*client, ack, error, event);
        } else if let Some(reader) = self.reader(namespace) {
            event::answer(&*reader, ack, error, event);
        }
    }
}
