//! The expiry of a connection's tokens: that of its session, and those of its subscriptions to feeds.
//! [`super::token_validity`] decides which step is due; this module executes it.

use std::sync::Arc;

use jackfield_cluster::sessions::EndReason;
use jackfield_engine::Frame;
use jackfield_shared::{
    claims::Identity,
    time::{rfc3339_of_unix, unix_now},
};
use serde_json::{Value, json};

use super::{Connection, token_validity::Step};
use crate::feed::rule::Read;

impl Connection {
    /// A token of the user was accepted. Returns when the session ends, in Unix seconds.
    pub(crate) fn renew(&self, identity: &Arc<Identity>) -> u64 {
        let mut session = self.session.lock();
        session.renew(identity);
        // Keep an earlier planned check: a renewed session is checked once too often, but never too late.
        if session.checked_at == 0 {
            session.checked_at = unix_now();
            self.shared.expiry.watch(session.checked_at, self.id);
        }
        session.validity.expires_at
    }

    /// Checks the tokens of the subscriptions from now on, if the feed requires one.
    pub(super) fn watch_subscriptions(&self) {
        let mut subscriptions = self.subscriptions.lock();
        if subscriptions.checked_at() == 0 && !subscriptions.is_empty() {
            let now = unix_now();
            subscriptions.check_at(now);
            self.shared.expiry.watch(now, self.id);
        }
    }

    /// Lists the planned checks that have come near.
    pub(crate) fn plan_checks(&self) {
        let session = self.session.lock();
        if session.checked_at > 0 && !session.is_ended() {
            self.shared.expiry.watch(session.checked_at, self.id);
        }
        drop(session);
        let subscriptions = self.subscriptions.lock();
        if subscriptions.checked_at() > 0 {
            self.shared.expiry.watch(subscriptions.checked_at(), self.id);
        }
    }

    /// Warns the client that its tokens expire, or disconnects it once they have expired, and schedules the next check.
    pub(crate) fn check_tokens(self: &Arc<Self>) {
        let now = unix_now();
        self.check_session(now);
        self.check_subscriptions(now);
    }

    fn check_session(self: &Arc<Self>, now: u64) {
        let (step, expires_at) = {
            let mut session = self.session.lock();
            if session.is_ended() || session.checked_at == 0 || session.checked_at > now {
                return;
            }
            let step = session.validity.step(now);
            let expires_at = session.validity.expires_at;
            session.checked_at = next(&step, expires_at);
            self.shared.expiry.watch(session.checked_at, self.id);
            (step, expires_at)
        };
        match step {
            Step::Wait(_) => {}
            Step::Warn(_) => {
                self.sockets().iter().for_each(|client| client.emit("token:expiring", &expiring(expires_at)));
            }
            Step::Expired => {
                let expiring = expiring(expires_at);
                self.disconnect(EndReason::TokenExpired, |client| {
                    Frame::event(&client.namespace.name, "token:expired", &expiring)
                });
            }
        }
    }

    fn check_subscriptions(self: &Arc<Self>, now: u64) {
        let due: Vec<_> = {
            let mut subscriptions = self.subscriptions.lock();
            if subscriptions.checked_at() == 0 || subscriptions.checked_at() > now {
                return;
            }
            let with_token = subscriptions.all().iter().filter(|subscriber| subscriber.feed.rule.read == Read::Token);
            let due: Vec<_> =
                with_token.map(|subscriber| (Arc::clone(subscriber), subscriber.token_step(now))).collect();
            let next_check = due.iter().map(|(_, (step, expires_at))| next(step, *expires_at)).min();
            subscriptions.check_at(next_check.unwrap_or(0));
            if let Some(at) = next_check {
                self.shared.expiry.watch(at, self.id);
            }
            due
        };
        for (subscriber, (step, expires_at)) in due {
            match step {
                Step::Wait(_) => {}
                Step::Warn(_) => subscriber.emit("token:expiring", &expiring(expires_at)),
                Step::Expired => {
                    self.disconnect_from_feed(&subscriber, "token_expired", "token:expired", &expiring(expires_at));
                }
            }
        }
    }
}

/// When to check again after this step.
fn next(step: &Step, expires_at: u64) -> u64 {
    match step {
        Step::Wait(at) | Step::Warn(at) => *at,
        Step::Expired => expires_at,
    }
}

fn expiring(expires_at: u64) -> Value {
    json!({ "expiresAt": rfc3339_of_unix(expires_at) })
}
