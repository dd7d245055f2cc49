//! Sessions that are to be told how many notifications are unread, in batches: those that have just begun, and all of them
//! after messages from other nodes may have been missed.
//!
//! Guarantees: a session is told sooner or later, however long the back end is away, or is over. What it is told comes by
//! the bus in the order in which its user's inbox changed, so that it neither undoes a newer count nor is undone by an
//! older one. Bounded by the sessions of the node.

use std::{collections::HashSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Node;
use crate::cluster::ids::Holding;

const BATCH: usize = 256;
const RETRY: Duration = Duration::from_millis(250);

/// See the module.
#[derive(Default)]
pub struct Counts {
    untold: Mutex<HashSet<Holding>>,
    come: Notify,
}

impl Counts {
    /// Tells these sessions the counts of their users, soon.
    pub fn tell(&self, sessions: impl IntoIterator<Item = Holding>) {
        self.untold.lock().extend(sessions);
        self.come.notify_one();
    }

    /// Some of those that are not over.
    fn take(&self, node: &Node) -> Vec<Holding> {
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
