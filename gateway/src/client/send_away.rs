//! Permanent disconnects: the client receives the reason, then a DISCONNECT, after which a stock client does not
//! reconnect by itself. For temporary reasons the transport is closed instead: [`Connection::close`].

use std::{sync::Arc, time::Duration};

use jackfield_shared::time::now_rfc3339;
use serde_json::json;

use super::{Client, Connection};
use crate::{
    engine::Frame,
    event::{self, Addressee as _, EventError},
    ops::metrics,
};

/// Time between the last frame to a flooding client and the end of its transport.
const LAST_MOMENT: Duration = Duration::from_millis(500);

impl Connection {
    /// Another session of the user took this one's place.
    pub fn evicted(self: &Arc<Self>) {
        if self.session.lock().evict_later() {
            return;
        }
        metrics::EVICTED.add(1);
        let replaced = json!({ "at": now_rfc3339() });
        self.send_away("replaced", |client| Frame::event(&client.namespace.name, "session:replaced", &replaced));
    }

    /// A backend ended the session: sends the client the reason, and disconnects it permanently.
    pub fn ended(self: &Arc<Self>, reason: &str) {
        let ended = json!({ "reason": reason, "at": now_rfc3339() });
        self.send_away("ended_by_backend", |client| Frame::event(&client.namespace.name, "session:ended", &ended));
    }

    /// A backend ended this user's reading: as [`Connection::ended`], in the feeds that the client reads as this user.
    pub fn ended_in_feeds(self: &Arc<Self>, user: &str, reason: &str) {
        let readers = self.readers.lock().of(user);
        for reader in readers {
            reader.send_away("ended_by_backend", "session:ended", &json!({ "reason": reason, "at": now_rfc3339() }));
        }
    }

    /// The client sends too fast for too long. Accepts nothing more from it, and ends the transport after
    /// [`LAST_MOMENT`], sooner than that of other clients.
    pub(super) fn flooding(self: &Arc<Self>) {
        self.let_go();
        self.outbox.stop_reading();
        let error = EventError::RateLimited { retry_after_ms: 0 };
        self.send_away("flooding", |client| event::error_frame(client, &error, ""));
        self.send_readers_away(&error);
        let (connection, stopping) = (Arc::clone(self), self.node.lifecycle.stopping());
        self.node.lifecycle.spawn(async move {
            stopping.run_until_cancelled(tokio::time::sleep(LAST_MOMENT)).await;
            connection.cut_off();
        });
    }

    /// Sends the reason and a DISCONNECT on every socket. Feeds are no part of the session, and continue.
    pub(super) fn send_away(self: &Arc<Self>, reason: &'static str, last_word: impl Fn(&Client) -> Option<Frame>) {
        tracing::debug!(session = %self.id, reason, "sending a client away");
        metrics::SENT_AWAY.add_for([reason], 1);
        // End the session first: nothing may follow the DISCONNECT, nor a namespace that is being joined be missed.
        for client in self.end_session() {
            if let Some(frame) = last_word(&client) {
                client.send(&frame);
            }
            client.send(&Frame::disconnect(&client.namespace.name));
        }
        // A stock client closes the transport itself; the idle sweep closes that of any other.
        self.node.idle.watch(self);
    }

    /// Sends the reason and a DISCONNECT in every feed.
    fn send_readers_away(self: &Arc<Self>, error: &EventError) {
        for reader in self.end_readers() {
            if let Some(frame) = event::error_frame(&*reader, error, "") {
                reader.send(&frame);
            }
            reader.send(&Frame::disconnect(reader.namespace()));
        }
    }
}
