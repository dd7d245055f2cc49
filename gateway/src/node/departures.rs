//! Sessions that are over, given back to the cluster in batches.
//!
//! Guarantees: a session is given back sooner or later, however long the back end is away. The list is bounded by the
//! sessions that lived when the back end went away, since none begins without it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Node;
use crate::cluster::{
    Unavailable,
    ids::{Holding, Incarnation, SessionId},
};

const BATCH: usize = 512;
const RETRY: Duration = Duration::from_millis(250);
/// At the end of the process, tries before what is left is left to the survivors.
const LAST_TRIES: u32 = 4;

/// See the module.
#[derive(Default)]
pub struct Departures {
    waiting: Mutex<Vec<(Holding, Incarnation)>>,
    come: Notify,
}

impl Departures {
    /// A session is over that was held by this incarnation.
    pub fn push(&self, user: Arc<str>, session: SessionId, incarnation: Incarnation) {
        self.waiting.lock().push((Holding { user, session }, incarnation));
        self.come.notify_one();
    }

    /// Whether everything was given back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    fn take(&self) -> Vec<(Holding, Incarnation)> {
        let mut waiting = self.waiting.lock();
        let rest = waiting.len().saturating_sub(BATCH);
        waiting.split_off(rest)
    }

    fn put_back(&self, batch: Vec<(Holding, Incarnation)>) {
        self.waiting.lock().extend(batch);
    }
}

pub(super) async fn give_back(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    while !stopping.is_cancelled() {
        if pass(&node).await.is_err() {
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        } else {
            stopping.run_until_cancelled(node.departures.come.notified()).await;
        }
    }
    farewell(&node).await;
}

/// Everybody is sent elsewhere, and what they held is given back, so that nobody has to wait for the lease to end.
async fn farewell(node: &Node) {
    for connection in node.connections.all() {
        connection.close();
    }
    let mut tries = 0;
    while pass(node).await.is_err() && tries < LAST_TRIES {
        tries += 1;
        tokio::time::sleep(RETRY).await;
    }
    if node.departures.is_empty()
        && let Some(incarnation) = node.incarnation()
    {
        // A lease that is not ended ends by itself.
        let _ = node.cluster.membership.bury(&incarnation).await;
    }
}

async fn pass(node: &Node) -> Result<(), Unavailable> {
    loop {
        let batch = node.departures.take();
        if batch.is_empty() {
            return Ok(());
        }
        if let Err(unavailable) = release(node, &batch).await {
            node.departures.put_back(batch);
            return Err(unavailable);
        }
    }
}

async fn release(node: &Node, batch: &[(Holding, Incarnation)]) -> Result<(), Unavailable> {
    let mut incarnations: Vec<&Incarnation> = batch.iter().map(|(_, incarnation)| incarnation).collect();
    incarnations.sort_unstable();
    incarnations.dedup();
    for incarnation in incarnations {
        let of_it = batch.iter().filter(|(_, held_by)| held_by == incarnation);
        let holdings: Vec<Holding> = of_it.map(|(holding, _)| holding.clone()).collect();
        clear(node, incarnation, &holdings).await?;
    }
    Ok(())
}

/// Takes holdings of an incarnation out of everything. The index comes last: while they stand there, somebody will.
pub(super) async fn clear(node: &Node, of: &Incarnation, holdings: &[Holding]) -> Result<(), Unavailable> {
    node.cluster.sessions.release(holdings, of).await?;
    node.cluster.presence.leave(holdings, of).await?;
    node.cluster.membership.strike(of, holdings).await
}
