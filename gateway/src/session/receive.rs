//! Receives a client's packets: queued on arrival, handled one after the other.
//!
//! Guarantees: packets are handled in the order of their arrival, one at a time; at once, until one of them must wait,
//! and from then on in a task, until the queue is empty; packets above the rate limit are refused and not queued.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
};

use futures_util::FutureExt as _;
use jackfield_cluster::{
    TIMEOUT,
    deadline::{self, Wait},
};
use jackfield_engine::{CloseReason, Excess, Inbound, Packet, event_name};
use jackfield_shared::{
    ids::new_id,
    trace::{Span, within},
};
use tokio::time::Instant;

use super::{
    Connection, EventError, Malformed, RawEvent, Sender, SubscriberSender, answer, connect,
    packet_queue::{Arrival, QueueLimits},
};
use crate::metrics;

impl Connection {
    /// Counts a message that completes no event: a binary part, or a packet that the gateway ignores.
    pub(super) fn receive_part(self: &Arc<Self>, bytes: usize) {
        let floods = self.queue.lock().part(bytes, self.shared.settings.limits.flood());
        if floods {
            self.flooding();
        }
    }

    /// Takes a packet whose text has `text` bytes; its binary parts were counted before. Never waits, because the
    /// transport's reader calls it.
    pub(super) fn receive(self: &Arc<Self>, packet: &Inbound<&str>, text: usize) {
        let limits = &self.shared.settings.limits;
        let room = QueueLimits { packets: limits.inbox as usize, bytes: limits.inbox_bytes as usize };
        let arrival = self.queue.lock().push(packet, text, limits.flood(), room);
        match arrival {
            Arrival::Queued => {}
            Arrival::Start(arrived) => {
                let next = match self.handle_at_once(packet) {
                    true => self.queue.lock().pop(),
                    false => Some((arrived, packet.to_packet())),
                };
                if let Some(next) = next {
                    // Most packets are handled without waiting, and then need no task.
                    let mut handling = Box::pin(Arc::clone(self).drain(next));
                    if handling.as_mut().now_or_never().is_none() {
                        self.shared.lifecycle.spawn(handling);
                    }
                }
            }
            Arrival::Limited { retry_after_ms } => {
                metrics::RATE_LIMITED.add(1);
                self.refuse(packet, &EventError::RateLimited { retry_after_ms });
            }
            Arrival::Flooding => self.flooding(),
        }
    }

    /// Handles a packet if it can be answered at once. False if it was not handled.
    fn handle_at_once(self: &Arc<Self>, packet: &Inbound<&str>) -> bool {
        let Inbound::Event { namespace, content, ack, parts } = packet else { return false };
        let Some(client) = self.client(namespace) else { return false };
        let sender = Sender { shared: &self.shared, connection: self, client: &client };
        let event = RawEvent { content, parts: parts.as_ref(), ack: *ack };
        let handling = || self.shared.dispatch.handle_at_once(&sender, event);
        match catch_unwind(AssertUnwindSafe(handling)) {
            Ok(None) => return false,
            Ok(Some(Ok(()))) => {}
            Ok(Some(Err(Malformed))) => self.close(CloseReason::Malformed),
            Err(_) => self.panicked(packet),
        }
        true
    }

    /// Handles a packet, and those that are queued meanwhile.
    async fn drain(self: Arc<Self>, first: (Instant, Packet)) {
        // Whether the back end timed out for the previous packet. Then the packets queued behind it have waited for the
        // back end, too, so their budget counts from their arrival; otherwise it counts from the start of their
        // handling.
        let mut stalled = false;
        let mut next = Some(first);
        while let Some((arrived, packet)) = next {
            let since = if stalled { arrived } else { Instant::now() };
            let handling = within(self.span(&packet), self.handle(&packet));
            let mut handling = pin!(deadline::allow(since + TIMEOUT, handling));
            if AssertUnwindSafe(handling.as_mut()).catch_unwind().await.is_err() {
                self.panicked(&packet.borrowed());
            }
            stalled = deadline::last_wait(handling).map_or(stalled, |wait| wait == Wait::TimedOut);
            next = self.queue.lock().pop();
        }
    }

    /// Answers a packet whose handler panicked.
    fn panicked(&self, packet: &Inbound<&str>) {
        let id = new_id();
        tracing::error!(
            id,
            session = %self.id,
            "the handler of a packet panicked; the panic message is on standard error"
        );
        self.refuse(packet, &EventError::Internal { id });
    }

    /// The trace span of a packet's handling. The event's handler names it once the event is parsed.
    fn span(&self, packet: &Packet) -> Option<Span> {
        let (name, namespace) = match packet {
            Inbound::Connect { namespace, .. } => ("connect", namespace),
            Inbound::Event { namespace, .. } => ("event", namespace),
            Inbound::Disconnect { .. } | Inbound::Refused { .. } | Inbound::Malformed => return None,
        };
        let span = Span::begin(|| name.into())?;
        Some(span.with("session.id", self.id.to_string()).with("namespace", namespace.to_string()))
    }

    async fn handle(self: &Arc<Self>, packet: &Packet) {
        match packet {
            // Boxed, so that the future of an event's handling does not have room for it: see `crate::event`.
            Inbound::Connect { namespace, auth } => {
                Box::pin(connect::connect(self, namespace, auth.as_deref())).await;
            }
            Inbound::Disconnect { .. } if !self.outbox.is_admitted() => self.close(CloseReason::Malformed),
            Inbound::Disconnect { namespace } => {
                if let Some(left) = self.leave(namespace)
                    && let Some(record) = left.record()
                {
                    // If the back end does not answer, the client may be recovered although it has left.
                    let _ = self.shared.cluster.recovery.forget(&left.session_ref(), record, namespace).await;
                }
                // The client may join another namespace: do not close the connection yet.
                if self.is_idle() {
                    self.shared.idle.watch(self);
                }
            }
            Inbound::Event { namespace, content, ack, parts } => {
                let event = RawEvent { content, parts: parts.as_ref(), ack: *ack };
                // Nothing after a malformed event can be decoded, so the connection ends, as with Socket.IO's own
                // server. A stock client reconnects by itself.
                if self.dispatch(namespace, event).await.is_err() {
                    self.close(CloseReason::Malformed);
                }
            }
            Inbound::Refused { excess, .. } => {
                let limits = &self.shared.settings.limits;
                let error = match excess {
                    Excess::Bytes => EventError::PayloadTooLarge { max: limits.payload as usize },
                    Excess::Parts => EventError::Validation(format!(
                        "at most {} attachments (binary parts) per event",
                        limits.attachments
                    )),
                };
                self.refuse(&packet.borrowed(), &error);
            }
            Inbound::Malformed => self.close(CloseReason::Malformed),
        }
    }

    async fn dispatch(self: &Arc<Self>, namespace: &str, event: RawEvent<'_>) -> Result<(), Malformed> {
        let shared = &self.shared;
        if let Some(client) = self.client(namespace) {
            let sender = Sender { shared, connection: self, client: &client };
            shared.dispatch.handle(sender, event).await
        } else if let Some(subscriber) = self.subscriber(namespace) {
            let sender = SubscriberSender { shared, subscriber: &subscriber };
            shared.dispatch.handle_in_feed(sender, event).await
        } else if !self.outbox.is_admitted() {
            Err(Malformed)
        } else {
            // The client sent the event before it learned that it had left the namespace.
            Ok(())
        }
    }

    /// Answers a packet with an error, without handling it.
    fn refuse(&self, packet: &Inbound<&str>, error: &EventError) {
        match packet {
            Inbound::Event { namespace, content, ack, .. } => {
                self.answer(namespace, *ack, error, &event_name(content));
            }
            Inbound::Refused { namespace, event, ack, .. } => self.answer(namespace, *ack, error, event),
            // A stock client reconnects by itself and sends its CONNECT again.
            Inbound::Connect { .. } | Inbound::Malformed => self.close(CloseReason::Unavailable),
            Inbound::Disconnect { namespace } => drop(self.leave(namespace)),
        }
    }

    fn answer(&self, namespace: &str, ack: Option<i64>, error: &EventError, event: &str) {
        if let Some(client) = self.client(namespace) {
            answer(&*client, ack, error, event);
        } else if let Some(subscriber) = self.subscriber(namespace) {
            answer(&*subscriber, ack, error, event);
        }
    }
}
