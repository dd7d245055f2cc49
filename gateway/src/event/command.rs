//! A backend's command for a socket: joins rooms, leaves rooms, ends. In this order, and not further than the first part
//! that fails.
//!
//! A join: the client gets `joined` `{room}` and every message from then on, without `recent-messages` and without an
//! acknowledgement, and the others get `user-joined`. The rules about roles do not apply, because the backend decides;
//! when the user's roles change later, the socket may have to leave again. A leave: the client gets `left`
//! `{room, code: "by_backend"}`, and the others get `user-left`. Rooms that the socket is in already, or is not in, are
//! skipped silently.

use std::sync::Arc;

use futures_util::future::join_all;
use jackfield_cluster::{
    Unavailable, deadline,
    ids::Incarnation,
    partition::PartitionSet,
    presence::{Announce, Entry},
    recovery::Place,
    room_name::RoomName,
    wire::{Command, End},
};
use serde_json::json;

use super::{EventError, room};
use crate::{
    room::{Joining, Occupant as _},
    session::{Outcome, Sender, forget_stay, leave_room, registry::NotPassed},
};

pub(super) async fn run(sender: Sender<'_>, Command { join: rooms, leave, end }: &Command) -> Outcome {
    let sender = &sender;
    if !rooms.is_empty() {
        Box::pin(join(sender, rooms)).await?;
    }
    for name in leave {
        if leave_room(sender.shared, sender.client, name).await {
            sender.client.emit("left", &json!({ "room": name, "code": "by_backend" }));
        }
    }
    match end {
        None => {}
        Some(End { reason, session: true }) => sender.connection.ended_by_backend(reason),
        Some(End { reason, session: false }) => sender.connection.socket_ended_by_backend(sender.client, reason).await,
    }
    Ok(())
}

/// Joins all of the rooms, or none if that would be too many.
async fn join(sender: &Sender<'_>, rooms: &[Arc<str>]) -> Result<(), EventError> {
    let (shared, client) = (sender.shared, sender.client);
    let mut new: Vec<RoomName> = Vec::new();
    for name in rooms {
        let name = room::name(sender, name)?;
        if client.room(&name.name).is_none() && !new.contains(&name) {
            new.push(name);
        }
    }
    let max = shared.settings.limits.rooms as usize;
    if max > 0 && client.room_count() + new.len() > max {
        return Err(EventError::TooManyRooms { max });
    }
    if new.is_empty() {
        return Ok(());
    }
    let turn = deadline::not_counted(shared.joining.pass(|| client.is_gone())).await;
    let _turn = turn.map_err(|NotPassed| Unavailable)?;
    let incarnation = shared.lease.incarnation().ok_or(Unavailable)?;
    if shared.releases.is_full() {
        return Err(Unavailable.into());
    }
    let stays: Vec<(u32, Entry)> = new.iter().map(|name| client.entry(name.clone())).collect();
    let registered = register(sender, &new, &stays, &incarnation).await;
    let joins = new.iter().zip(stays).map(async |(name, (number, entry))| {
        let is_in = match &registered {
            Ok(()) => enter(sender, name, number).await,
            Err(Unavailable) => Err(Unavailable),
        };
        if is_in != Ok(true) {
            shared.releases.push(entry.stay, incarnation.clone());
            client.did_not_enter(&name.name);
            forget_stay(shared, client, number, &name.name).await;
        }
        is_in
    });
    // A socket that has gone is in no room; its caller learns that the connection has ended.
    let joined: Result<Vec<bool>, Unavailable> = join_all(joins).await.into_iter().collect();
    Ok(joined.map(drop)?)
}

/// Registers the user as a member of the rooms.
async fn register(
    sender: &Sender<'_>,
    names: &[RoomName],
    stays: &[(u32, Entry)],
    incarnation: &Incarnation,
) -> Result<(), Unavailable> {
    let (shared, client) = (sender.shared, sender.client);
    let entries: Vec<Entry> = stays.iter().map(|(_, entry)| entry.clone()).collect();
    let listed: Vec<_> = entries.iter().map(|entry| entry.stay.clone()).collect();
    let note = async {
        let Some(record) = client.record() else { return Ok(()) };
        let session = client.session_ref();
        let notes = names.iter().zip(stays).map(|(name, (number, _))| {
            let place = Place { namespace: &name.namespace, number: *number, room: &name.name };
            shared.cluster.recovery.enter(&session, record, place)
        });
        join_all(notes).await.into_iter().collect::<Result<(), Unavailable>>()
    };
    // The index entries are sent first, on the same connection, so Redis stores them first.
    let (indexed, entered, noted) = tokio::join!(
        biased;
        shared.cluster.membership.index_add(incarnation, &listed),
        shared.cluster.presence.enter(&entries, incarnation, Announce::Yes),
        note
    );
    indexed?;
    noted?;
    if shared.lease.incarnation().as_ref() != Some(incarnation) {
        shared.lease.reassert_soon(PartitionSet::ALL);
    }
    entered.map(drop)
}

/// Enters a room. False if the socket has left its namespace meanwhile.
async fn enter(sender: &Sender<'_>, name: &RoomName, number: u32) -> Result<bool, Unavailable> {
    let (shared, client) = (sender.shared, sender.client);
    client.enters(number, &name.name);
    // Without messages to send, there is nothing to wait for, and nothing that can be lost.
    let (room, _) = shared.rooms.join(name, Joining::silent(Arc::clone(client))).await.map_err(|_| Unavailable)?;
    let is_in = client.entered(room, number);
    if !is_in {
        shared.rooms.leave(name, client);
    }
    Ok(is_in)
}
