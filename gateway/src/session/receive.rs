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
    Connection, EventError, Malformed, RawEvent, Sender, SubscriberSender, answer,
    command::Ordered,
    connect,
    connect_hook::Asked,
    packet_queue::{Arrival, Item, QueueLimits},
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
        if let Inbound::Ack { namespace, id, content, parts } = packet {
            // It costs as much as a part of its bytes, as if nobody waited for it. The parts of a binary one were counted.
            if text > 0 {
                self.receive_part(text);
            }
            if let Some(client) = self.client(namespace) {
                self.shared.acks.receive(&self.shared, &client, *id, content, parts.as_ref());
            }
            return;
        }
        let limits = &self.shared.settings.limits;
        let room = QueueLimits { packets: limits.inbox as usize, bytes: limits.inbox_bytes as usize };
        let arrival = self.queue.lock().push(packet, text, limits.flood(), room);
        match arrival {
            Arrival::Queued => {}
            Arrival::Start(arrived) => {
                let next = match self.handle_at_once(packet) {
                    true => self.queue.lock().pop(),
                    false => Some((arrived, Item::Packet(packet.to_packet()))),
                };
                if let Some(next) = next {
                    // Most packets are handled without waiting, and then need no task.
                    self.begin(next);
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

    /// Handles an item, and those that are queued meanwhile.
    pub(super) async fn drain(self: Arc<Self>, first: (Instant, Item)) {
        // Whether the back end timed out for the previous item. Then the items queued behind it have waited for the
        // back end, too, so their budget counts from their arrival; otherwise it counts from the start of their
        // handling.
        let mut stalled = false;
        let mut next = Some(first);
        while let Some((arrived, item)) = next {
            let since = if stalled { arrived } else { Instant::now() };
            let wait = match item {
                Item::Packet(packet) => self.drain_packet(&packet, since + TIMEOUT).await,
                // Boxed, so that the future of a packet's handling does not have room for it.
                Item::Command(ordered) => Box::pin(self.drain_command(*ordered, since + TIMEOUT)).await,
                Item::Asked(asked) => Box::pin(self.drain_asked(*asked, since + TIMEOUT)).await,
            };
            stalled = wait.map_or(stalled, |wait| wait == Wait::TimedOut);
            next = self.queue.lock().pop();
        }
    }

    /// Handles a packet, whose waits for the back end end by `until`. Returns how the last of them ended.
    async fn drain_packet(self: &Arc<Self>, packet: &Packet, until: Instant) -> Option<Wait> {
        let handling = within(self.span(packet), self.handle(packet));
        let mut handling = pin!(deadline::allow(until, handling));
        if AssertUnwindSafe(handling.as_mut()).catch_unwind().await.is_err() {
            self.panicked(&packet.borrowed());
        }
        deadline::last_wait(handling)
    }

    /// Like [`Connection::drain_packet`], a backend's command.
    async fn drain_command(self: &Arc<Self>, ordered: Ordered, until: Instant) -> Option<Wait> {
        let (outcome, wait) = {
            let mut running = pin!(deadline::allow(until, self.run(&ordered)));
            let outcome = AssertUnwindSafe(running.as_mut()).catch_unwind().await;
            (outcome, deadline::last_wait(running))
        };
        ordered.finish(outcome.unwrap_or_else(|_| {
            let id = self.log_panic("the handler of a backend's command panicked");
            Err(EventError::Internal { id }.into())
        }));
        wait
    }

    /// Like [`Connection::drain_packet`], a CONNECT whose hook has answered.
    async fn drain_asked(self: &Arc<Self>, asked: Asked, until: Instant) -> Option<Wait> {
        let mut handling = pin!(deadline::allow(until, connect::resume(self, asked)));
        if AssertUnwindSafe(handling.as_mut()).catch_unwind().await.is_err() {
            self.log_panic("the handler of a CONNECT panicked");
            self.close(CloseReason::Unavailable);
        }
        deadline::last_wait(handling)
    }

    /// Answers a packet whose handler panicked.
    fn panicked(&self, packet: &Inbound<&str>) {
        let id = self.log_panic("the handler of a packet panicked");
        self.refuse(packet, &EventError::Internal { id });
    }

    fn log_panic(&self, event: &'static str) -> String {
        let id = new_id();
        tracing::error!(id, session = %self.id, "{event}; the panic message is on standard error");
        id
    }

    /// The trace span of a packet's handling. The event's handler names it once the event is parsed.
    fn span(&self, packet: &Packet) -> Option<Span> {
        let (name, namespace) = match packet {
            Inbound::Connect { namespace, .. } => ("connect", namespace),
            Inbound::Event { namespace, .. } => ("event", namespace),
            Inbound::Disconnect { .. } | Inbound::Ack { .. } | Inbound::Refused { .. } | Inbound::Malformed => {
                return None;
            }
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
                self.withdraw(namespace);
                match self.leave(namespace) {
                    Some(left) => self.forget_socket(&left).await,
                    None if self.is_idle() => self.shared.idle.watch(self),
                    None => {}
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
            // Not queued: it was handled on arrival.
            Inbound::Ack { .. } => {}
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
            Inbound::Ack { .. } => {}
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
