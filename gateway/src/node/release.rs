//! Releases ended sessions and stays in the cluster, in batches.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use jackfield_cluster::{
    TIMEOUT, Unavailable,
    ids::{Incarnation, SessionRef},
    partition::PartitionSet,
    presence::{Ending as Left, Scope, Stay},
    sessions::{EndReason, Ended},
};
use jackfield_engine::CloseReason;
use tokio::task::JoinHandle;

use crate::session::{
    Shared,
    registry::{Ending, Release},
};

/// Index entries that are read at once.
const BATCH: usize = 512;
const RETRY: Duration = Duration::from_millis(250);
/// Retries at shutdown; after them, other nodes release the rest once the lease has ended.
const LAST_TRIES: u32 = 2;

/// Releases until the lifecycle stops; then releases the rest, and ends the lease once `heartbeat_task` has ended.
pub(super) async fn run(shared: Arc<Shared>, heartbeat_task: JoinHandle<()>) {
    let stopping = shared.lifecycle.stopping();
    while !stopping.is_cancelled() {
        if pass(&shared).await.is_err() {
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        } else {
            stopping.run_until_cancelled(shared.releases.pushed()).await;
        }
    }
    shutdown(&shared, heartbeat_task).await;
}

/// Closes the remaining connections and releases their sessions, so that other nodes need not wait for the lease to
/// end.
async fn shutdown(shared: &Shared, heartbeat_task: JoinHandle<()>) {
    for connection in shared.connections.all().into_iter().chain(shared.subscribed.all()) {
        connection.close(CloseReason::Draining);
    }
    let mut tries = 0;
    while pass(shared).await.is_err() && tries < LAST_TRIES {
        tries += 1;
        tokio::time::sleep(RETRY).await;
    }
    // A running heartbeat would begin a new lease if it found that the old one has ended.
    let heartbeat_ended = tokio::time::timeout(TIMEOUT, heartbeat_task).await.is_ok();
    if heartbeat_ended && shared.releases.is_complete() {
        // If this fails, the lease ends by itself, and another node cleans up.
        let _ = end_lease(shared).await;
    }
}

async fn end_lease(shared: &Shared) -> Result<(), Unavailable> {
    let Some(incarnation) = shared.lease.incarnation() else { return Ok(()) };
    let membership = &shared.cluster.membership;
    // Mostly entries that were indexed but whose claim was then refused.
    loop {
        let left = membership.indexed(&incarnation, PartitionSet::ALL, BATCH).await?;
        if left.is_empty() {
            return membership.forget_dead(&incarnation, PartitionSet::ALL).await;
        }
        let left: Vec<_> = left.into_iter().map(|stay| (stay, Ending::Open(EndReason::Draining))).collect();
        remove_stays(shared, &incarnation, &left).await?;
    }
}

async fn pass(shared: &Shared) -> Result<(), Unavailable> {
    loop {
        let batch = shared.releases.take();
        if batch.is_empty() {
            return Ok(());
        }
        let failed = release(shared, batch).await;
        let has_failed = !failed.is_empty();
        shared.releases.finish_batch(failed);
        if has_failed {
            return Err(Unavailable);
        }
    }
}

/// Releases what each server has by itself. Returns those of servers that do not answer.
async fn release(shared: &Shared, mut batch: Vec<Release>) -> Vec<Release> {
    let of_part =
        |part: PartitionSet| batch.extract_if(.., |release| part.contains(release.stay.partition())).collect();
    let parts: Vec<Vec<Release>> = shared.cluster.membership.parts().into_iter().map(of_part).collect();
    let released = join_all(parts.iter().map(|part| release_part(shared, part))).await;
    let failed = parts.into_iter().zip(released).filter(|(_, released)| released.is_err());
    failed.flat_map(|(part, _)| part).chain(batch).collect()
}

async fn release_part(shared: &Shared, batch: &[Release]) -> Result<(), Unavailable> {
    let mut incarnations: Vec<&Incarnation> = batch.iter().map(|release| &release.incarnation).collect();
    incarnations.sort_unstable();
    incarnations.dedup();
    for incarnation in incarnations {
        let of_it = batch.iter().filter(|release| release.incarnation == *incarnation);
        let stays: Vec<_> = of_it.map(|release| (release.stay.clone(), release.ending)).collect();
        remove_stays(shared, incarnation, &stays).await?;
    }
    Ok(())
}

/// Removes stays of an incarnation everywhere. The index comes last, so that a node retries if this fails before.
pub(super) async fn remove_stays(
    shared: &Shared,
    of: &Incarnation,
    ended: &[(Stay, Ending)],
) -> Result<(), Unavailable> {
    let online = ended.iter().filter(|(stay, _)| stay.scope == Scope::Cluster);
    let session = |(stay, ending): &(Stay, Ending)| Ended {
        session: SessionRef { user: Arc::clone(&stay.user), session: stay.session.clone() },
        is_final: matches!(ending, Ending::Final(_)),
        reason: ending.reason(),
    };
    let sessions: Vec<Ended> = online.map(session).collect();
    let stays: Vec<Stay> = ended.iter().map(|(stay, _)| stay.clone()).collect();
    let cluster = &shared.cluster;
    cluster.sessions.release(&sessions, of).await?;
    cluster.presence.leave(&stays, of, Left::Gone).await?;
    cluster.membership.index_remove(of, &stays).await
}
