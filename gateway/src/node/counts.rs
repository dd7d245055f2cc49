//! Sends sessions their number of unread notifications, in batches: sessions that have just begun, and all of them
//! after messages from other nodes may have been missed.
//!
//! Guarantees: a session gets its count sooner or later, however long the back end is away, unless it ends first. The
//! counts come over the bus in the order in which the user's inbox changed, so that one neither overwrites a newer
//! count nor is overwritten by an older one. Bounded by the sessions of the node.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Node;
use crate::cluster::ids::SessionRef;

const BATCH: usize = 256;
const RETRY: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Default)]
pub struct Counts {
    untold: Mutex<HashSet<SessionRef>>,
    come: Notify,
}

impl Counts {
    /// Sends these sessions the counts of their users, soon.
    pub fn tell(&self, sessions: impl IntoIterator<Item = SessionRef>) {
        self.untold.lock().extend(sessions);
        self.come.notify_one();
    }

    /// Takes up to a batch of sessions that have not ended.
    fn take(&self, node: &Node) -> Vec<SessionRef> {
        let mut untold = self.untold.lock();
        untold.extract_if(|_| true).filter(|told| node.connections.find(&told.session).is_some()).take(BATCH).collect()
    }
}

pub(super) async fn keep_told(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    while !stopping.is_cancelled() {
        let batch = node.counts.take(&node);
        if batch.is_empty() {
            stopping.run_until_cancelled(node.counts.come.notified()).await;
        } else if node.cluster.inbox.tell(&batch, &node.id).await.is_err() {
            node.counts.tell(batch);
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        }
    }
}
