//! Handles what backends publish with `@socket.io/redis-emitter`: emissions ([`packet`]) and requests ([`request`]) for the
//! sockets of this node. Every node gets all of them from Redis, and sends to its own sockets.
//!
//! A user's own room is `user:<id>`, a socket's is its public id; all other names are rooms. A name with the form of a
//! socket's id is never a room: see [`Target::receiver`]. Guarantees: messages take effect in the order of their arrival,
//! so that an emission to a room reaches sockets that an earlier message let in; a socket gets each emission once, however
//! many of its rooms are named; whatever is malformed has no effect at all. Deliberately stores nothing: as with Socket.IO,
//! clients that are away miss it.

mod json;
mod malformed;
mod packet;
mod request;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use jackfield_cluster::{
    bus::EmitterMessage,
    room_name::RoomName,
    wire::{Command, Selector, Target},
};
use jackfield_engine::Frame;
use tokio::time::timeout;

use self::{malformed::Malformed, packet::Packet, request::Request};
use super::select::select;
use crate::{
    hub::{Member as _, Namespace},
    metrics,
    session::{Client, Shared},
};

/// The longest wait for all sockets of this node that a request names. The rest carry it out later.
const DONE_WITHIN: Duration = Duration::from_secs(5);
/// A volatile emission is not sent to a client of whose queue more bytes wait.
const VOLATILE_BYTES: u64 = 16 * 1024;
/// Sockets that are sent to before the task yields.
const BATCH: usize = 256;

/// The outcome of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handled {
    /// It took effect here, or there is nobody here whom it concerns.
    Done,
    /// It is not for this gateway: another namespace, or a request of servers to each other.
    Ignored,
}

/// Carries out a message on this node.
///
/// # Errors
/// [`Malformed`]: nothing was done.
pub(crate) async fn handle(shared: &Arc<Shared>, message: &EmitterMessage) -> Result<Handled, Malformed> {
    let (channel, is_request) = match message.channel.strip_prefix("-request#") {
        Some(rest) => (rest, true),
        None => (message.channel.strip_prefix('#').ok_or(Malformed("unknown channel"))?, false),
    };
    let (namespace, room) = channel.split_once('#').ok_or(Malformed("unknown channel"))?;
    let Some(namespace) = shared.namespaces.find(namespace) else { return Ok(Handled::Ignored) };
    if is_request {
        let Some(Request { selector, command }) = Request::parse(&message.payload)? else {
            return Ok(Handled::Ignored);
        };
        order(shared, namespace, &selector, &command).await;
        return Ok(Handled::Done);
    }
    // A message for one room alone is not even decoded where nobody is in it.
    let room = room.strip_suffix('#').unwrap_or(room);
    if !room.is_empty() && !may_be_here(shared, namespace, room) {
        return Ok(Handled::Done);
    }
    let Some(packet) = Packet::parse(&message.payload, &namespace.name)? else { return Ok(Handled::Ignored) };
    send(shared, namespace, &packet).await;
    Ok(Handled::Done)
}

fn may_be_here(shared: &Shared, namespace: &Namespace<Client>, name: &str) -> bool {
    match Target::receiver(name) {
        Target::User(user) => shared.connections.has(&user),
        Target::Socket(id) => namespace.members.get(id).is_some(),
        Target::Room(name) => {
            RoomName::parse(&namespace.name, &name).is_some_and(|name| shared.rooms.find(&name).is_some())
        }
    }
}

async fn send(shared: &Shared, namespace: &Arc<Namespace<Client>>, packet: &Packet) {
    let Packet { content, parts, selector, volatile } = packet;
    let frame = Frame::event_with(&namespace.name, content, parts.as_ref());
    if selector.any.is_empty() && selector.except.is_empty() && !volatile {
        return namespace.members.fan_out(&frame).await;
    }
    for batch in select(shared, namespace, selector).await.chunks(BATCH) {
        let takes = |client: &&Arc<Client>| !volatile || client.outbox().waiting() <= VOLATILE_BYTES;
        let sent = batch.iter().filter(takes).map(|client| client.send(&frame)).count();
        metrics::DELIVERIES.add(sent);
        tokio::task::yield_now().await;
    }
}

/// Orders the command, and waits until it was carried out: what comes next may rely on it.
async fn order(shared: &Shared, namespace: &Arc<Namespace<Client>>, selector: &Selector, command: &Command) {
    let mut outcomes = Vec::new();
    for batch in select(shared, namespace, selector).await.chunks(BATCH) {
        let connections = batch.iter().filter_map(|client| shared.connections.find(client.session));
        outcomes.extend(connections.map(|connection| connection.order(&namespace.name, command.clone())));
        tokio::task::yield_now().await;
    }
    let count = outcomes.len();
    if timeout(DONE_WITHIN, join_all(outcomes)).await.is_err() {
        tracing::warn!(sockets = count, "some sockets did not carry out an emitter's request in time; they still will");
    }
}
