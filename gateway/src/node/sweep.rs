//! Closes connections that have been in no namespace for too long, and checks tokens that expire.

use std::{sync::Arc, time::Duration};

use jackfield_engine::CloseReason;
use jackfield_shared::time::unix_now;

use crate::session::Shared;

const EVERY: Duration = Duration::from_secs(1);
/// Connections that are checked before the task yields.
const BATCH: usize = 256;

/// Closes connections that have been in no namespace for too long.
pub(super) async fn idle(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    while stopping.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        shared.limiter.sweep();
        for batch in shared.idle.due().chunks(BATCH) {
            for connection in batch.iter().filter(|connection| shared.idle.is_expired(connection)) {
                connection.close(CloseReason::Idle);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Lists the checks of all connections that have come near.
async fn plan_checks(shared: &Shared) {
    for connections in [&shared.connections, &shared.subscribed] {
        for batch in connections.all().chunks(BATCH) {
            batch.iter().for_each(|connection| connection.plan_checks());
            tokio::task::yield_now().await;
        }
    }
}

/// Warns clients a minute before their token expires, and disconnects them when it has expired.
pub(super) async fn tokens(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    while stopping.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        if shared.expiry.advance(unix_now()) {
            plan_checks(&shared).await;
        }
        loop {
            let due = shared.expiry.take(unix_now(), BATCH);
            if due.is_empty() {
                break;
            }
            for id in due {
                if let Some(connection) = shared.connections.find(id).or_else(|| shared.subscribed.find(id)) {
                    connection.check_tokens();
                }
            }
            tokio::task::yield_now().await;
        }
    }
}
