//! Judges the tokens of a connection again by the list of revocations: those of its session and of its subscriptions.

use std::sync::Arc;

use jackfield_cluster::sessions::EndReason;
use jackfield_engine::Frame;
use jackfield_shared::{claims::Identity, time::now_rfc3339};
use serde_json::{Value, json};

use super::{Connection, refusal::Refusal};
use crate::revocation::{Refused, Roles};

impl Connection {
    /// Ends what rests on tokens that are refused now: the session, or subscriptions. Returns whether the session's user
    /// has other roles: then call [`Connection::leave_forbidden_rooms`].
    pub(crate) fn judge_again(self: &Arc<Self>) -> bool {
        let changed = self.judge_session();
        self.judge_subscriptions();
        changed
    }

    /// The roles of the session's user.
    pub(crate) fn roles(&self) -> Roles {
        self.session.lock().identity().map(|identity| Arc::clone(&identity.roles)).unwrap_or_default()
    }

    fn judge_session(self: &Arc<Self>) -> bool {
        let refused = {
            let mut session = self.session.lock();
            // Before the first namespace was joined, the caller judges after it.
            let Some(identity) = session.identity().filter(|_| !session.sockets.is_empty()).cloned() else {
                return false;
            };
            match self.shared.revocations.accept(Arc::clone(&identity)) {
                Ok(present) => {
                    let changed = !Arc::ptr_eq(&present, &identity);
                    session.set_identity(present);
                    return changed;
                }
                Err(refused) => refused,
            }
        };
        let ended = ended(&refused);
        self.disconnect(reason(&refused), |client| Frame::event(&client.namespace.name, "session:ended", &ended));
        false
    }

    fn judge_subscriptions(self: &Arc<Self>) {
        let subscribers = self.subscriptions.lock().all().to_vec();
        for subscriber in subscribers {
            let Some(identity) = subscriber.identity() else { continue };
            match self.shared.revocations.accept(identity) {
                Ok(present) => subscriber.set_identity(present),
                Err(refused) => {
                    self.disconnect_from_feed(
                        &subscriber,
                        reason(&refused).as_str(),
                        "session:ended",
                        &ended(&refused),
                    );
                }
            }
        }
    }

    /// The identity in a token that was verified, with the user's present roles.
    pub(super) fn accept(&self, identity: Arc<Identity>) -> Result<Arc<Identity>, Refusal> {
        let code = |refused: Refused| if refused.is_inactive { "user_inactive" } else { "token_revoked" };
        self.shared.revocations.accept(identity).map_err(|refused| Refusal::Permanent(code(refused)))
    }
}

fn ended(refused: &Refused) -> Value {
    json!({ "reason": refused.reason, "at": now_rfc3339() })
}

/// The reason of the session's end.
fn reason(refused: &Refused) -> EndReason {
    match &*refused.reason {
        _ if refused.is_inactive => EndReason::Deactivated,
        "logout" => EndReason::Logout,
        _ => EndReason::Revoked,
    }
}
