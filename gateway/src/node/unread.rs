//! Sends sessions their number of unread notifications, in batches.
//!
//! Guarantees: a session gets its count as soon as the back end answers, unless it ends first. Counts arrive over the
//! bus in the order in which the user's inbox changed, so that the last count is the latest.

use std::{sync::Arc, time::Duration};

use crate::session::Shared;

const BATCH: usize = 256;
const RETRY: Duration = Duration::from_millis(250);

pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    while !stopping.is_cancelled() {
        let batch = shared.unread.take(BATCH, |waiting| shared.connection(&waiting.session).is_some());
        if batch.is_empty() {
            stopping.run_until_cancelled(shared.unread.pushed()).await;
        } else if shared.cluster.inbox.push_count(&batch, &shared.id).await.is_err() {
            shared.unread.push(batch);
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        }
    }
}
