//! The node's lease: renewing it, losing it, beginning a new one; and clearing up after dead nodes.
//!
//! After a lost lease, and whenever the bus may have missed something, the node re-registers its sessions by their
//! generations (evicting those that lost meanwhile) and its users' presence, and sends the unread counts.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Node, departures::clear, report::Report};
use crate::{
    client::{Client, Connection},
    cluster::{
        Unavailable,
        bus::Channel,
        ids::{SessionRef, Incarnation, IndexEntry},
        presence::Announce,
        room_presence::Entry,
        sessions::Held,
    },
    hub::Namespace,
    ops::metrics,
};

const SETTLE_EVERY: Duration = Duration::from_millis(500);
const RETRY: Duration = Duration::from_millis(250);
/// Sessions, stays or index entries that are written in one batch.
const BATCH: usize = 512;

pub(super) async fn heartbeat(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    let every = node.cluster.membership.term() * 3 / 10;
    let mut known_lost = None;
    while !stopping.is_cancelled() {
        let beaten = beat(&node, &mut known_lost).await;
        node.readiness.set_lease(beaten.is_ok());
        let pause = if beaten.is_ok() { every } else { RETRY };
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = node.reassert.notified() => {}
        }
    }
}

/// Announces users whose grace is over, periodically.
pub(super) async fn settle(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    while stopping.run_until_cancelled(tokio::time::sleep(SETTLE_EVERY)).await.is_some() {
        // If it fails now, any node does it next time.
        let _ = node.cluster.presence.settle().await;
        let _ = node.cluster.room_presence.settle().await;
    }
}

/// `known_lost` is the last incarnation whose lost lease was logged: to begin a new one may take many tries.
async fn beat(node: &Arc<Node>, known_lost: &mut Option<Incarnation>) -> Result<(), Unavailable> {
    let incarnation = match node.incarnation() {
        Some(incarnation) if node.cluster.membership.renew(&incarnation).await? => incarnation,
        lost => {
            if lost.is_some() && *known_lost != lost {
                tracing::warn!("the lease was lost: going on under a new one");
                metrics::LEASES_LOST.add(1);
                *known_lost = lost;
            }
            let incarnation = begin(node).await?;
            node.reassert_wanted.store(true, Ordering::Release);
            incarnation
        }
    };
    node.cluster.membership.report(&incarnation, &Report::of(node).to_text()).await?;
    if node.reassert_wanted.swap(false, Ordering::AcqRel) {
        // After the back end lost its data these users never left: re-register them without announcing.
        let announce = if node.forgotten.load(Ordering::Acquire) { Announce::No } else { Announce::Yes };
        if let Err(unavailable) = reassert(node, &incarnation, announce).await {
            node.reassert_wanted.store(true, Ordering::Release);
            return Err(unavailable);
        }
        node.forgotten.store(false, Ordering::Release);
    }
    let live = node.cluster.membership.live().await?;
    node.roster.keep_only(&live);
    metrics::NODES.set(live.len());
    reap(node, &incarnation).await
}

async fn begin(node: &Arc<Node>) -> Result<Incarnation, Unavailable> {
    let namespaces = node.hub.namespaces().map(|namespace: &Arc<Namespace>| Arc::clone(&namespace.name));
    let mut channels: Vec<Channel> = namespaces.map(Channel::Namespace).collect();
    channels.extend([Channel::Node(node.id.clone()), Channel::Presence, Channel::Roster]);
    // Before the lease, so that this node misses nothing that is sent to it.
    node.cluster.bus.subscribe(&channels).await?;
    let (incarnation, remembered) = node.cluster.membership.register(&node.id).await?;
    if node.remembered.lock().replace(remembered).is_some_and(|before| before != remembered) {
        tracing::warn!("the back end has lost what it knew");
        node.forgotten.store(true, Ordering::Release);
    }
    node.cluster.log.remembers(remembered);
    node.incarnation.store(Some(Arc::new(incarnation.clone())));
    Ok(incarnation)
}

async fn reassert(node: &Arc<Node>, incarnation: &Incarnation, announce: Announce) -> Result<(), Unavailable> {
    node.roster.start_over();
    let connections = node.connections.all();
    for batch in connections.chunks(BATCH) {
        reassert_batch(node, incarnation, batch, announce).await?;
    }
    if !connections.is_empty() {
        tracing::info!(sessions = connections.len(), "said again what this node holds");
    }
    Ok(())
}

async fn reassert_batch(
    node: &Arc<Node>,
    incarnation: &Incarnation,
    connections: &[Arc<Connection>],
    announce: Announce,
) -> Result<(), Unavailable> {
    let live: Vec<(&Arc<Connection>, Held)> =
        connections.iter().filter_map(|connection| Some((connection, connection.held()?))).collect();
    let held: Vec<Held> = live.iter().map(|(_, held)| held.clone()).collect();
    let holdings: Vec<SessionRef> = held.iter().map(|held| held.holding.clone()).collect();
    let noted: Vec<IndexEntry> = holdings.iter().cloned().map(IndexEntry::Session).collect();
    node.cluster.membership.index_add(incarnation, &noted).await?;
    let lost = node.cluster.sessions.restore(&held, incarnation, node.policy).await?;
    for (connection, _) in live.iter().filter(|(connection, _)| lost.contains(&connection.id)) {
        connection.evicted();
    }
    let kept: Vec<SessionRef> = holdings.into_iter().filter(|holding| !lost.contains(&holding.session)).collect();
    node.cluster.presence.enter(&kept, incarnation, announce).await?;
    // The node may have missed pushes; from here on pushes find these sessions again.
    node.counts.tell(kept);
    // A session that ended meanwhile was released under the old incarnation, and has just been written under this one.
    for (connection, held) in &live {
        if !connection.reasserted(incarnation) {
            node.departures.push(IndexEntry::Session(held.holding.clone()), incarnation.clone());
        }
    }
    let live = live.iter().map(|(connection, _)| *connection).filter(|connection| !lost.contains(&connection.id));
    let clients: Vec<_> = live.flat_map(|connection| connection.sockets()).collect();
    reassert_rooms(node, incarnation, &clients, announce).await
}

async fn reassert_rooms(
    node: &Arc<Node>,
    incarnation: &Incarnation,
    clients: &[Arc<Client>],
    announce: Announce,
) -> Result<(), Unavailable> {
    let entries = clients.iter().flat_map(|client| client.entries().into_iter().map(move |entry| (client, entry)));
    let stays: Vec<(&Arc<Client>, Entry)> = entries.collect();
    for batch in stays.chunks(BATCH) {
        let noted: Vec<IndexEntry> = batch.iter().map(|(_, entry)| IndexEntry::Room(entry.stay.clone())).collect();
        let entries: Vec<Entry> = batch.iter().map(|(_, entry)| entry.clone()).collect();
        node.cluster.membership.index_add(incarnation, &noted).await?;
        node.cluster.room_presence.enter(&entries, incarnation, announce).await?;
        for (client, entry) in batch {
            if !client.entries().contains(entry) {
                node.departures.push(IndexEntry::Room(entry.stay.clone()), incarnation.clone());
            }
        }
    }
    Ok(())
}

/// Clears up after dead nodes, one after the other.
async fn reap(node: &Node, survivor: &Incarnation) -> Result<(), Unavailable> {
    while let Some(dead) = node.cluster.membership.take_dead(survivor).await? {
        let mut count = 0;
        loop {
            let holdings = node.cluster.membership.holdings(&dead, BATCH).await?;
            if holdings.is_empty() {
                break;
            }
            count += holdings.len();
            clear(node, &dead, &holdings).await?;
            // A long cleanup must not cost this node its own lease.
            node.cluster.membership.renew(survivor).await?;
        }
        node.cluster.membership.forget_dead(&dead).await?;
        tracing::info!(incarnation = %dead, sessions = count, "cleared up after a dead node");
        metrics::REAPED.add(1);
    }
    Ok(())
}
