//! Keeps a connection's session until the last of its user's tokens expires. [`super::validity`] decides when a step is
//! due; this module takes it.

use std::sync::Arc;

use jackfield_shared::time::{rfc3339_of_unix, unix_now};
use serde_json::json;

use super::{Connection, validity::Step};
use crate::engine::Frame;

impl Connection {
    /// A token of the user was accepted. Returns when the session ends, in Unix seconds.
    pub fn renew(&self, expires_at: u64) -> u64 {
        let mut session = self.session.lock();
        session.validity.renew(expires_at);
        // A renewed session is checked once more than needed, but never later than at its end.
        if session.looked_at == 0 {
            session.looked_at = unix_now();
            self.node.expiry.watch(session.looked_at, &self.id);
        }
        session.validity.expires_at
    }

    /// Warns the client that its token expires, or disconnects it once it has expired, and schedules the next check.
    pub fn look_at_token(self: &Arc<Self>) {
        let (step, expires_at) = {
            let mut session = self.session.lock();
            if session.is_ended() {
                return;
            }
            let step = session.validity.step(unix_now());
            let expires_at = session.validity.expires_at;
            session.looked_at = match step {
                Step::Wait(at) => at,
                Step::Tell | Step::Expired => expires_at,
            };
            self.node.expiry.watch(session.looked_at, &self.id);
            (step, expires_at)
        };
        let expiring = json!({ "expiresAt": rfc3339_of_unix(expires_at) });
        match step {
            Step::Wait(_) => {}
            Step::Tell => self.sockets().iter().for_each(|client| client.emit("token:expiring", &expiring)),
            Step::Expired => {
                self.send_away("token_expired", |client| {
                    Frame::event(&client.namespace.name, "token:expired", &expiring)
                });
            }
        }
    }
}
