//! Acts on the sockets of this node that a message selects.
//!
//! Guarantees: a socket is selected once, however many of the targets name it; the work depends on how many sockets the
//! targets name, not on how many the node has, unless the selector names all. Sockets that come while the selection runs
//! may be missed, like by every emission.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use jackfield_cluster::{
    room_name::RoomName,
    wire::{Act, Ask, Found, Selector, Target},
};
use jackfield_engine::Frame;

use crate::{
    hub::{Member as _, Namespace},
    metrics,
    session::{Client, MAX_ANSWERS, Shared, reply},
};

/// Sockets that are sent to before the task yields.
const BATCH: usize = 256;

/// Does with this node's sockets what a message says.
pub(crate) async fn act(shared: &Arc<Shared>, namespace: &str, selector: &Selector, act: Act) {
    let Some(namespace) = shared.namespaces.find(namespace) else { return };
    let selected = select(shared, namespace, selector).await;
    match act {
        Act::Send(frame) => {
            let Some(frame) = Frame::from_bus(frame) else { return };
            for batch in selected.chunks(BATCH) {
                batch.iter().for_each(|client| client.send(&frame));
                metrics::DELIVERIES.add(batch.len());
                tokio::task::yield_now().await;
            }
        }
        Act::Command(command) => {
            for batch in selected.chunks(BATCH) {
                for connection in batch.iter().filter_map(|client| shared.connections.find(client.session)) {
                    // Nobody waits for the outcome.
                    drop(connection.order(&namespace.name, command.clone()));
                }
                tokio::task::yield_now().await;
            }
        }
        Act::Count(ask) => found(shared, namespace, &ask, selected.len()),
        Act::Emit(ask, content) => {
            // As many as may answer: more are refused before the event is emitted.
            found(shared, namespace, &ask, selected.len());
            let asked = &selected[..selected.len().min(MAX_ANSWERS)];
            shared.acks.emit(shared, asked, &ask, &content).await;
        }
    }
}

fn found(shared: &Arc<Shared>, namespace: &Namespace<Client>, ask: &Ask, count: usize) {
    let (node, namespace) = (Arc::clone(&shared.id.0), Arc::clone(&namespace.name));
    reply(shared, ask, Found::Sockets { node, namespace, count }, Bytes::new());
}

/// The sockets of this node that the selector names.
pub(super) async fn select(
    shared: &Shared,
    namespace: &Arc<Namespace<Client>>,
    Selector { any, except }: &Selector,
) -> Vec<Arc<Client>> {
    let mut all = Vec::new();
    if any.is_empty() {
        namespace.members.collect(&mut all, |client| !client.is_any_of(except)).await;
        return all;
    }
    for target in any {
        match target {
            Target::Socket(id) => all.extend(namespace.members.get(*id)),
            Target::User(user) => {
                let connections = shared.connections.of(user);
                let theirs = connections.iter().filter_map(|connection| connection.client(&namespace.name));
                all.extend(theirs.filter(|client| client.identity.user_id == *user));
            }
            Target::Room(name) => {
                let name = RoomName::parse(&namespace.name, name);
                if let Some(room) = name.and_then(|name| shared.rooms.find(&name)) {
                    room.members().collect(&mut all, |_| true).await;
                }
            }
        }
    }
    if any.len() > 1 {
        let mut seen = HashSet::with_capacity(all.len());
        all.retain(|client| seen.insert(client.id));
    }
    if !except.is_empty() {
        all.retain(|client| !client.is_any_of(except));
    }
    all
}
