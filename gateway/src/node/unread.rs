//! Sends sessions their number of unread notifications, in batches.
//!
//! Guarantees: a session gets its count as soon as the back end answers, unless it ends first. Counts arrive over the
//! bus in the order in which the user's inbox changed, so that the last count is the latest.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use jackfield_cluster::{ids::SessionRef, partition::PartitionSet};

use crate::session::Shared;

const BATCH: usize = 256;
const RETRY: Duration = Duration::from_millis(250);

pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    while !stopping.is_cancelled() {
        let batch = shared.unread.take(BATCH, |waiting| shared.connection(&waiting.session).is_some());
        if batch.is_empty() {
            stopping.run_until_cancelled(shared.unread.pushed()).await;
            continue;
        }
        let failed = push(&shared, batch).await;
        if !failed.is_empty() {
            shared.unread.push(failed);
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        }
    }
}

/// Asks each server by itself. Returns the sessions of servers that do not answer.
async fn push(shared: &Shared, mut batch: Vec<SessionRef>) -> Vec<SessionRef> {
    let of_part = |part: PartitionSet| batch.extract_if(.., |one| part.concerns_user(&one.user)).collect();
    let parts: Vec<Vec<SessionRef>> = shared.cluster.membership.parts().into_iter().map(of_part).collect();
    let pushed = join_all(parts.iter().map(|part| shared.cluster.inbox.push_count(part, &shared.id))).await;
    let failed = parts.into_iter().zip(pushed).filter(|(_, pushed)| pushed.is_err());
    failed.flat_map(|(part, _)| part).chain(batch).collect()
}
