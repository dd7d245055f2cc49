//! Permanent disconnects: the client receives an event with the reason, then a DISCONNECT, after which a stock client
//! does not reconnect by itself. For temporary reasons, close the transport instead: [`Connection::close`].

use std::{sync::Arc, time::Duration};

use jackfield_cluster::sessions::EndReason;
use jackfield_engine::{CloseReason, Frame};
use jackfield_shared::time::now_rfc3339;
use serde_json::{Value, json};

use super::{Addressee, Client, Connection, EventError, Subscriber, error_frame, registry::Ending};
use crate::metrics;

/// Time between the last frame to a flooding client and the end of its transport.
const ABORT_AFTER: Duration = Duration::from_millis(500);

impl Connection {
    /// A newer session of the user replaced this one.
    pub(crate) fn evicted(self: &Arc<Self>) {
        if self.session.lock().evict_later() {
            return;
        }
        metrics::EVICTED.add(1);
        let replaced = json!({ "at": now_rfc3339() });
        self.disconnect(EndReason::Replaced, |client| {
            Frame::event(&client.namespace.name, "session:replaced", &replaced)
        });
    }

    /// A backend ended the session: sends the client the reason and disconnects it permanently.
    pub(crate) fn ended_by_backend(self: &Arc<Self>, reason: &str) {
        let ended = json!({ "reason": reason, "at": now_rfc3339() });
        self.disconnect(EndReason::EndedByBackend, |client| {
            Frame::event(&client.namespace.name, "session:ended", &ended)
        });
    }

    /// A backend ended one socket of the session: sends the client the reason and disconnects it permanently from this
    /// namespace. It may stay in others.
    pub(crate) async fn socket_ended_by_backend(self: &Arc<Self>, client: &Arc<Client>, reason: &str) {
        let namespace = &client.namespace.name;
        // Leave first, so that nothing follows the DISCONNECT.
        if self.leave(namespace).is_none() {
            return;
        }
        metrics::DISCONNECTED.add_for(["ended_by_backend"], 1);
        let user = &*client.identity.user_id;
        tracing::info!(session = %self.id, user, %namespace, "a backend disconnected a socket permanently");
        client.emit("session:ended", &json!({ "reason": reason, "at": now_rfc3339() }));
        Addressee::send(&**client, &Frame::disconnect(namespace));
        self.forget_socket(client).await;
    }

    /// The client's record forgets a socket that has left for good. If the back end does not answer, the client may be
    /// recovered although it has left.
    pub(super) async fn forget_socket(self: &Arc<Self>, left: &Client) {
        if let Some(record) = left.record() {
            let namespace = &left.namespace.name;
            let _ = self.shared.cluster.recovery.forget(&left.session_ref(), record, namespace).await;
        }
        // The client may join another namespace: do not close the connection yet.
        if self.is_idle() {
            self.shared.idle.watch(self);
        }
    }

    /// A backend ended this user's subscriptions: like [`Connection::ended_by_backend`], in the feeds to which the
    /// client subscribed with the user's token.
    pub(crate) fn subscriptions_ended_by_backend(self: &Arc<Self>, user: &str, reason: &str) {
        let subscribers = self.subscriptions.lock().of(user);
        let ended = json!({ "reason": reason, "at": now_rfc3339() });
        for subscriber in subscribers {
            self.disconnect_from_feed(&subscriber, "ended_by_backend", "session:ended", &ended);
        }
    }

    /// The client floods: it kept sending above its rate limit. Accepts nothing more from it, disconnects it
    /// permanently, and aborts the transport after [`ABORT_AFTER`].
    pub(super) fn flooding(self: &Arc<Self>) {
        self.stop_accepting();
        self.outbox.stop_reading();
        let error = EventError::RateLimited { retry_after_ms: 0 };
        self.disconnect(EndReason::Flooding, |client| error_frame(client, &error, ""));
        for subscriber in self.end_subscriptions() {
            let frames = [error_frame(&*subscriber, &error, ""), Some(Frame::disconnect(subscriber.namespace()))];
            frames.iter().flatten().for_each(|frame| Addressee::send(&*subscriber, frame));
        }
        let (connection, stopping) = (Arc::clone(self), self.shared.lifecycle.stopping());
        self.shared.lifecycle.spawn(async move {
            stopping.run_until_cancelled(tokio::time::sleep(ABORT_AFTER)).await;
            connection.outbox.abort(CloseReason::Flooding);
        });
    }

    /// Sends the reason and a DISCONNECT on every socket. Subscriptions are no part of the session, and continue.
    pub(super) fn disconnect(self: &Arc<Self>, ended: EndReason, reason_event: impl Fn(&Client) -> Option<Frame>) {
        let reason = ended.as_str();
        metrics::DISCONNECTED.add_for([reason], 1);
        // End the session first, so that nothing follows the DISCONNECT, and no namespace is joined meanwhile.
        let sockets = self.end_session(Ending::Final(ended));
        let user = sockets.first().map(|client| &*client.identity.user_id);
        tracing::info!(session = %self.id, user, reason, "disconnected a client permanently");
        for client in sockets {
            if let Some(frame) = reason_event(&client) {
                Addressee::send(&*client, &frame);
            }
            Addressee::send(&*client, &Frame::disconnect(&client.namespace.name));
        }
        // A stock client closes the transport itself; the idle sweep closes that of other clients.
        self.shared.idle.watch(self);
    }

    /// Sends the reason and a DISCONNECT in one feed, and ends the subscription.
    pub(super) fn disconnect_from_feed(
        self: &Arc<Self>,
        subscriber: &Subscriber,
        reason: &'static str,
        event: &str,
        data: &Value,
    ) {
        metrics::DISCONNECTED.add_for([reason], 1);
        let user = subscriber.user_id.as_deref();
        let (session, namespace) = (&self.id, subscriber.namespace());
        tracing::info!(%session, user, namespace, reason, "ended a subscription to a feed");
        subscriber.emit(event, data);
        Addressee::send(subscriber, &Frame::disconnect(subscriber.namespace()));
        self.unsubscribe(subscriber.namespace());
        self.shared.idle.watch(self);
    }
}
