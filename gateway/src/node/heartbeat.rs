//! The node's lease: renews it, begins a new one after a loss, and cleans up after dead nodes.
//!
//! After a lost lease, and whenever the bus may have lost messages, the node re-registers its sessions with their
//! generations (and evicts those that lost to newer sessions meanwhile) and its users' presence, and sends the unread
//! counts.

use std::{
    net::SocketAddr,
    sync::{Arc, Once},
    time::Duration,
};

use futures_util::future::join_all;
use jackfield_cluster::{
    Unavailable,
    bus::Channel,
    facts::Begin,
    ids::Incarnation,
    membership::Dead,
    partition::PartitionSet,
    presence::{Announce, Entry, Stay},
    sessions::{EndReason, HeldSession, Restored},
};
use jackfield_shared::{hosts::is_loopback, time::now};

use super::{Report, release::remove_stays, revocations};
use crate::{
    fact, metrics,
    session::{
        Client, Connection, Shared,
        registry::{Ending, Release},
    },
};

const SETTLE_EVERY: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_millis(250);
/// Sessions, stays or index entries in one batch.
const BATCH: usize = 512;

pub(super) async fn heartbeat(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    let every = shared.cluster.membership.term() * 3 / 10;
    let mut known_lost = None;
    while !stopping.is_cancelled() {
        let beaten = beat(&shared, &mut known_lost).await;
        shared.readiness_flags.set_lease(beaten.is_ok());
        let pause = if beaten.is_ok() { every } else { RETRY };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = shared.lease.beat_requested() => {}
        }
    }
}

/// Periodically announces that users whose grace is over are offline or left their rooms.
pub(super) async fn settle(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    while stopping.run_until_cancelled(tokio::time::sleep(SETTLE_EVERY)).await.is_some() {
        // If this fails, the next call of any node announces them.
        let _ = shared.cluster.presence.settle().await;
    }
}

/// `known_lost` is the last incarnation whose loss was logged: beginning a new lease may take many attempts.
async fn beat(shared: &Arc<Shared>, known_lost: &mut Option<Incarnation>) -> Result<(), Unavailable> {
    let incarnation = match shared.lease.incarnation() {
        Some(incarnation) if shared.cluster.membership.renew(&incarnation).await? => incarnation,
        lost => {
            if lost.is_some() && *known_lost != lost {
                tracing::warn!(
                    incarnation = lost.as_ref().map(Incarnation::as_str),
                    "lost the lease: this node did not reach Redis in time, or was frozen; it begins a new lease and \
                     re-registers its sessions"
                );
                metrics::LEASES_LOST.add(1);
                *known_lost = lost;
            }
            begin(shared).await?
        }
    };
    // Before the node is ready, and before sessions are registered again.
    if let Err(unavailable) = revocations::sync(shared, &incarnation).await
        && (shared.revocations.position().is_none() || shared.cluster.membership.parts().len() == 1)
    {
        // Of several servers, the one that has the list may be away: then nothing is revoked either. A node that is cut
        // off from it alone goes on with its copy, and reads the list once it is back.
        return Err(unavailable);
    }
    shared.cluster.membership.report(&incarnation, &Report::of(shared).to_text()).await?;
    let wanted = shared.lease.take_reassert();
    if !wanted.is_empty() {
        reassert(shared, &incarnation, wanted).await?;
    }
    let asked = now();
    let live = shared.cluster.membership.live().await?;
    shared.relay.follow(&live, asked).await;
    shared.roster.keep_only(&live);
    metrics::NODES.set(live.len());
    reap(shared, &incarnation).await
}

async fn begin(shared: &Arc<Shared>) -> Result<Incarnation, Unavailable> {
    let namespaces = shared.namespaces.all().map(|namespace| Arc::clone(&namespace.name));
    let mut channels: Vec<Channel> = namespaces.map(Channel::Namespace).collect();
    channels.extend([Channel::Node(shared.id.clone()), Channel::Presence, Channel::Roster, Channel::Revocations]);
    // Subscribe before the lease begins, so that this node receives everything that is sent to it.
    shared.cluster.bus.subscribe_reachable(&channels).await?;
    let membership = &shared.cluster.membership;
    let address = address(shared).await?;
    shared.relay.adopt(membership.secret(&shared.relay.secret()).await?);
    let (incarnation, remembered) = membership.register(&shared.id, &address).await?;
    shared.cluster.log.may_be_lost(PartitionSet::ALL);
    // A hook that is new begins here; one that Redis has forgotten misses nothing that it still has.
    let place = if shared.lease.incarnation().is_none() { Begin::AtEnd } else { Begin::AtOldest };
    fact::begin(shared, place).await?;
    if shared.lease.begun(&incarnation, remembered) {
        tracing::warn!("Redis lost its data: re-registering this node's sessions and room members");
    }
    Ok(incarnation)
}

/// The address at which other nodes reach this one.
async fn address(shared: &Shared) -> Result<String, Unavailable> {
    static HINT: Once = Once::new();
    let settings = &shared.settings;
    let local = shared.cluster.membership.local_address().await;
    let own = local.map(|local| SocketAddr::new(local, settings.internal_port().unwrap_or_default()).to_string());
    let address = choose_address(settings.address(), own, shared.relay.address())?;
    let is_local = address.rsplit_once(':').is_some_and(|(host, _)| is_loopback(host));
    if is_local && local.is_ok_and(|local| !local.is_loopback()) {
        HINT.call_once(|| {
            tracing::warn!(
                %address,
                "nodes on other machines cannot pass polls on to this one: set `internal.host` (INTERNAL_HOST), or keep \
                 each polling client on one node"
            );
        });
    }
    shared.relay.set_address(&address);
    Ok(address)
}

/// The configured address, else this machine's `own`, else the `last` one, which is empty at the start: without DNS, the
/// connections to Redis may go on.
fn choose_address(
    configured: Option<String>,
    own: Result<String, Unavailable>,
    last: String,
) -> Result<String, Unavailable> {
    match configured {
        Some(address) => Ok(address),
        None => own.or_else(|unavailable| if last.is_empty() { Err(unavailable) } else { Ok(last) }),
    }
}

/// Re-registers what is in these partitions, on each server by itself: where one does not answer, later. Fails if none
/// answers.
async fn reassert(shared: &Arc<Shared>, incarnation: &Incarnation, wanted: PartitionSet) -> Result<(), Unavailable> {
    // After the back end lost its data, these users never left: re-register them without announcing.
    let announce = if shared.lease.is_data_lost() { Announce::No } else { Announce::Yes };
    shared.roster.on_gap(wanted);
    let connections = shared.connections.all();
    let parts = shared.cluster.membership.parts().into_iter().map(|part| part.intersection(wanted));
    let parts: Vec<PartitionSet> = parts.filter(|part| !part.is_empty()).collect();
    let part = |part| reassert_part(shared, incarnation, &connections, announce, part);
    let done = join_all(parts.iter().map(|one| part(*one))).await;
    let failed = parts.iter().zip(&done).filter(|(_, done)| done.is_err()).map(|(part, _)| *part);
    let failed = failed.fold(PartitionSet::default(), PartitionSet::union);
    if failed.is_empty() {
        shared.lease.reasserted();
        if !connections.is_empty() {
            tracing::info!(
                sessions = connections.len(),
                partitions = wanted.len(),
                "re-registered this node's sessions"
            );
        }
        return Ok(());
    }
    shared.lease.reassert_later(failed);
    if done.iter().any(Result::is_ok) { Ok(()) } else { Err(Unavailable) }
}

async fn reassert_part(
    shared: &Arc<Shared>,
    incarnation: &Incarnation,
    connections: &[Arc<Connection>],
    announce: Announce,
    part: PartitionSet,
) -> Result<(), Unavailable> {
    for batch in connections.chunks(BATCH) {
        reassert_batch(shared, incarnation, batch, announce, part).await?;
    }
    Ok(())
}

async fn reassert_batch(
    shared: &Arc<Shared>,
    incarnation: &Incarnation,
    connections: &[Arc<Connection>],
    announce: Announce,
    part: PartitionSet,
) -> Result<(), Unavailable> {
    let live: Vec<(&Arc<Connection>, HeldSession)> =
        connections.iter().filter_map(|connection| Some((connection, connection.held()?))).collect();
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        live.into_iter().partition(|(_, held)| part.concerns_user(&held.session.user));
    let held: Vec<HeldSession> = here.iter().map(|(_, held)| held.clone()).collect();
    let stays: Vec<Stay> = held.iter().map(|held| Stay::online(&held.session)).collect();
    shared.cluster.membership.index_add(incarnation, &stays).await?;
    let restored = shared.cluster.sessions.restore(&held, incarnation, shared.policy).await?;
    let mut kept = Vec::with_capacity(here.len());
    let mut clients: Vec<_> = elsewhere.iter().flat_map(|(connection, _)| connection.sockets()).collect();
    for ((connection, held), restored) in here.iter().zip(restored) {
        match restored {
            Restored::Evicted => connection.evicted(),
            Restored::Kept { end } => {
                connection.user_log_ends(end);
                kept.push(held.session.clone());
                clients.extend(connection.sockets());
            }
        }
    }
    let entries: Vec<Entry> = kept.iter().map(Entry::from).collect();
    shared.cluster.presence.enter(&entries, incarnation, announce).await?;
    // Counts may have been lost so far; from here on they reach these sessions again.
    shared.unread.push(kept);
    // A session that ended meanwhile was released under the old incarnation, but is now registered under the new one.
    for (connection, held) in &here {
        if !connection.reasserted(incarnation) {
            let reason = connection.end_reason().unwrap_or(EndReason::Unavailable);
            let (stay, incarnation) = (Stay::online(&held.session), incarnation.clone());
            shared.releases.push_ending(Release { stay, incarnation, ending: Ending::Open(reason) });
        }
    }
    reassert_rooms(shared, incarnation, &clients, announce, part).await
}

async fn reassert_rooms(
    shared: &Arc<Shared>,
    incarnation: &Incarnation,
    clients: &[Arc<Client>],
    announce: Announce,
    part: PartitionSet,
) -> Result<(), Unavailable> {
    let entries = clients.iter().flat_map(|client| client.entries().into_iter().map(move |entry| (client, entry)));
    let stays: Vec<(&Arc<Client>, Entry)> =
        entries.filter(|(_, entry)| part.contains(entry.stay.partition())).collect();
    for batch in stays.chunks(BATCH) {
        let indexed: Vec<Stay> = batch.iter().map(|(_, entry)| entry.stay.clone()).collect();
        let entries: Vec<Entry> = batch.iter().map(|(_, entry)| entry.clone()).collect();
        shared.cluster.membership.index_add(incarnation, &indexed).await?;
        shared.cluster.presence.enter(&entries, incarnation, announce).await?;
        for (client, entry) in batch {
            if !client.entries().contains(entry) {
                shared.releases.push(entry.stay.clone(), incarnation.clone());
            }
        }
    }
    Ok(())
}

/// Releases the sessions and stays of dead nodes, one node after the other.
async fn reap(shared: &Shared, survivor: &Incarnation) -> Result<(), Unavailable> {
    while let Some(Dead { incarnation: dead, within }) = shared.cluster.membership.take_dead(survivor).await? {
        let mut count = 0;
        loop {
            let left = shared.cluster.membership.indexed(&dead, within, BATCH).await?;
            if left.is_empty() {
                break;
            }
            count += left.len();
            let left: Vec<_> = left.into_iter().map(|stay| (stay, Ending::Open(EndReason::NodeLost))).collect();
            remove_stays(shared, &dead, &left).await?;
            // Renew this node's own lease during a long cleanup.
            shared.cluster.membership.renew(survivor).await?;
        }
        shared.cluster.membership.forget_dead(&dead, within).await?;
        tracing::info!(incarnation = %dead, released = count, "released the sessions and stays of a dead node");
        metrics::REAPED.add(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_not_known_now_is_never_guessed() {
        let text = |text: &str| text.to_owned();
        let own = || Ok(text("10.0.0.2:13000"));
        assert_eq!(choose_address(Some(text("a:1")), Err(Unavailable), text("b:1")), Ok(text("a:1")));
        assert_eq!(choose_address(None, own(), text("b:1")), own());
        assert_eq!(choose_address(None, Err(Unavailable), text("b:1")), Ok(text("b:1")));
        assert_eq!(choose_address(None, Err(Unavailable), String::new()), Err(Unavailable));
    }
}
