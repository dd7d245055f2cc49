//! Follows the list of revocations: reads it, and ends the sockets whose tokens are refused by it.

use std::{
    sync::{Arc, Once},
    time::Duration,
};

use futures_util::future::join_all;
use jackfield_cluster::{Unavailable, ids::Incarnation, revocations::RecordError};

use crate::session::Shared;

/// Connections that are judged before the task yields, and entries that are restored at once.
const BATCH: usize = 256;
/// Connections that leave rooms at the same time.
const AT_ONCE: usize = 64;
/// Between two walks, so that many revocations in a row cost little.
const PAUSE: Duration = Duration::from_millis(50);

/// Reads the entries that this node does not have, and gives the back end those that it has lost. Renews the lease of
/// `own` meanwhile, because the list may be long.
pub(super) async fn sync(shared: &Shared, own: &Incarnation) -> Result<(), Unavailable> {
    let (list, cluster) = (&shared.revocations, &shared.cluster);
    loop {
        let page = cluster.revocations.read(list.position()).await?;
        let is_last = page.is_last;
        list.read(page);
        if is_last {
            break;
        }
        cluster.membership.renew(own).await?;
    }
    restore(shared, own).await?;
    list.forget();
    Ok(())
}

async fn restore(shared: &Shared, own: &Incarnation) -> Result<(), Unavailable> {
    static FULL: Once = Once::new();
    for batch in shared.revocations.lost().chunks(BATCH) {
        match shared.cluster.revocations.restore(batch).await {
            Ok(()) => {}
            Err(RecordError::Unavailable(unavailable)) => return Err(unavailable),
            Err(RecordError::Full) => {
                FULL.call_once(|| {
                    tracing::warn!("the list of revocations is full: what Redis lost of it is not restored");
                });
                return Ok(());
            }
        }
        shared.cluster.membership.renew(own).await?;
    }
    Ok(())
}

/// After each change of the list, judges the tokens of all connections. Walks over all of them, because that is rare.
pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    while stopping.run_until_cancelled(shared.revocations.changed()).await.is_some() {
        let mut changed = Vec::new();
        for connections in [&shared.connections, &shared.subscribed] {
            for batch in connections.all().chunks(BATCH) {
                changed.extend(batch.iter().filter(|connection| connection.judge_again()).cloned());
                tokio::task::yield_now().await;
            }
        }
        for batch in changed.chunks(AT_ONCE) {
            join_all(batch.iter().map(|connection| connection.leave_forbidden_rooms())).await;
        }
        stopping.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
    }
}
