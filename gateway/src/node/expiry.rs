//! Expiry of the tokens of live sessions: clients get a warning a minute before, and a DISCONNECT at the end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jackfield_shared::time::unix_now;
use parking_lot::Mutex;

use super::Node;
use crate::cluster::ids::SessionId;

const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Sessions that are checked before the task yields.
const BATCH: usize = 512;

/// Sessions by the Unix second of their next check. A session that ends is removed.
#[derive(Default)]
pub struct Expiry {
    due: Mutex<BTreeSet<(u64, SessionId)>>,
}

impl Expiry {
    /// Checks this session at this second.
    pub fn watch(&self, at: u64, session: &SessionId) {
        self.due.lock().insert((at, session.clone()));
    }

    /// Cancels that check.
    pub fn forget(&self, at: u64, session: &SessionId) {
        self.due.lock().remove(&(at, session.clone()));
    }

    fn take(&self, now: u64) -> Vec<SessionId> {
        let mut due = self.due.lock();
        let mut taken = Vec::new();
        while taken.len() < BATCH
            && let Some((at, _)) = due.first()
            && *at <= now
        {
            taken.extend(due.pop_first().map(|(_, session)| session));
        }
        taken
    }
}

pub(super) async fn sweep(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    while stopping.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await.is_some() {
        loop {
            let due = node.expiry.take(unix_now());
            if due.is_empty() {
                break;
            }
            for session in due {
                if let Some(connection) = node.connections.find(&session) {
                    connection.look_at_token();
                }
            }
            tokio::task::yield_now().await;
        }
    }
}
