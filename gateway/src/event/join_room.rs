//! `join-room` `"room"` or `{room, since?}`: the others get `user-joined`; the sender gets `joined`, `recent-messages`
//! and the acknowledgement `{status, room, position, members, recovered?}`, in this order and before any live message.
//! A socket gets more than a page of a room at most once in ten seconds.

use std::{sync::Arc, time::Duration};

use jackfield_cluster::{
    Unavailable, deadline,
    ids::Incarnation,
    partition::PartitionSet,
    presence::{Announce, Entry},
    recovery::Place,
    room_name::RoomName,
};
use jackfield_engine::CloseReason;
use jackfield_shared::time::now;
use serde::Deserialize;
use tokio::sync::SemaphorePermit;

use super::{
    EventError,
    parse::{Event, TextOr},
    room,
};
use crate::{
    hub::Member as _,
    room::{JoinError, Joined, Joining, Occupant as _, Room, rules::Action},
    session::{Client, Sender, forget_stay, leave_room, registry::NotPassed},
};

/// Time between two checks whether a client has read its queue.
const CHECK_EVERY: Duration = Duration::from_millis(20);
/// A page counts as read when at most this many bytes wait in the client's queue.
const READ_BYTES: u64 = 16 * 1024;
/// A client that has not read a page after this time is too slow.
const READ_WITHIN: Duration = Duration::from_mins(1);
/// Shortest time until a socket may again get more than a page of the same room.
const LONG_PACE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(expecting = "room's name or {room, since?}")]
struct Args {
    room: String,
    since: Option<String>,
}

/// The room's worker sends the acknowledgement, so that no live message precedes it.
pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>, ack: Option<i64>) -> Result<(), EventError> {
    let (text, since) = match event.text_or()? {
        TextOr::Text(room) => (room, None),
        TextOr::Other(Args { room, since }) => (room, since),
    };
    let name = room::name(sender, &text)?;
    room::authorize(sender, &text, Action::Join)?;
    let (shared, client) = (sender.shared, sender.client);
    let max = shared.settings.limits.rooms as usize;
    let was_in = client.room(&text).is_some();
    if !was_in && max > 0 && client.room_count() >= max {
        return Err(EventError::TooManyRooms { max });
    }
    let turn = deadline::not_counted(shared.joining.pass(|| client.is_gone())).await;
    join(sender, name, since, ack, turn.map_err(|NotPassed| Unavailable)?).await
}

async fn join(
    sender: &Sender<'_>,
    name: RoomName,
    since: Option<String>,
    ack: Option<i64>,
    turn: SemaphorePermit<'_>,
) -> Result<(), EventError> {
    let (shared, client) = (sender.shared, sender.client);
    let was_in = client.room(&name.name).is_some();
    let incarnation = shared.lease.incarnation().ok_or(Unavailable)?;
    if shared.releases.is_full() {
        return Err(Unavailable.into());
    }
    let (number, entry) = client.entry(name.clone());
    let place = Place { namespace: &name.namespace, number, room: &name.name };
    let entered = enter(sender, &entry, place, &incarnation).await;
    let stay = entry.stay;
    let joined = match entered {
        Ok(members) => {
            client.enters(number, &name.name);
            let mut joining = Joining::new(Arc::clone(client), since, ack, members);
            (joining.again, joining.not_before) = (was_in, client.paged_until(&name.name));
            join_in_rounds(sender, &name, joining, turn).await
        }
        Err(unavailable) => Err(unavailable.into()),
    };
    match joined {
        Ok(room) if client.entered(room.clone(), number) => still_allowed(sender, &name.name).await,
        // The connection ended meanwhile.
        Ok(_) => {
            shared.rooms.leave(&name, client);
            shared.releases.push(stay, incarnation);
            Ok(())
        }
        Err(error) => {
            if !was_in {
                shared.releases.push(stay, incarnation);
                client.did_not_enter(&name.name);
                forget_stay(shared, client, number, &name.name).await;
            }
            Err(match error {
                JoinError::Unavailable | JoinError::Lost => EventError::Unavailable,
                JoinError::TooSoon { wait, .. } => wait.into(),
            })
        }
    }
}

/// Leaves the room again if the user's roles do not allow it any more: they may have changed while the socket joined,
/// when it was in no room that it could be told to leave.
async fn still_allowed(sender: &Sender<'_>, name: &str) -> Result<(), EventError> {
    let allowed = room::authorize(sender, name, Action::Join);
    if allowed.is_err() {
        leave_room(sender.shared, sender.client, name).await;
    }
    allowed
}

/// Requests rounds until the socket has all messages that it missed and is in the room. The bytes sent count as events
/// of its user.
async fn join_in_rounds(
    sender: &Sender<'_>,
    name: &RoomName,
    mut joining: Joining<Client>,
    turn: SemaphorePermit<'_>,
) -> Result<Room<Client>, JoinError> {
    let (shared, client) = (sender.shared, sender.client);
    let mut turn = Some(turn);
    loop {
        let joined = shared.rooms.join(name, joining.clone()).await;
        let now = now();
        match joined {
            Ok((room, Joined::In { bytes, is_long, .. })) => {
                client.user.charge(bytes, now);
                if is_long || joining.sent.is_some() {
                    client.page_again_at(&name.name, now + LONG_PACE, now);
                }
                return Ok(room);
            }
            Ok((_, Joined::More { sent, bytes })) => {
                client.user.charge(bytes, now);
                joining.sent = Some(sent);
                // A client that reads slowly does not keep others waiting.
                turn.take();
                if !has_read(sender).await {
                    shared.rooms.leave(name, client);
                    return Err(JoinError::Unavailable);
                }
            }
            Err(error) => {
                if let JoinError::TooSoon { bytes, .. } = error {
                    client.user.charge(bytes, now);
                }
                if joining.sent.is_some() && joining.again {
                    // The client believes that it is in the room: after a reconnect it requests the rest.
                    sender.connection.close(CloseReason::Unavailable);
                }
                return Err(error);
            }
        }
    }
}

/// Waits until the client has read most of its queue. False if the client has left, is being closed, or is too slow; in
/// the last case aborts the connection.
async fn has_read(sender: &Sender<'_>) -> bool {
    let outbox = sender.client.outbox();
    let until = tokio::time::Instant::now() + READ_WITHIN;
    while !sender.client.is_gone() && !sender.connection.is_closing() {
        if outbox.waiting() <= READ_BYTES {
            return true;
        }
        if tokio::time::Instant::now() >= until {
            outbox.abort(CloseReason::TooSlow);
            return false;
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
    false
}

/// Registers the user as a member of the room, and returns the number of members.
async fn enter(
    sender: &Sender<'_>,
    entry: &Entry,
    place: Place<'_>,
    incarnation: &Incarnation,
) -> Result<usize, Unavailable> {
    let (shared, client) = (sender.shared, sender.client);
    let note = async {
        match client.record() {
            Some(record) => shared.cluster.recovery.enter(&client.session_ref(), record, place).await,
            None => Ok(()),
        }
    };
    // The index entry is sent first, on the same connection, so Redis stores it first.
    let (indexed, members, noted) = tokio::join!(
        biased;
        shared.cluster.membership.index_add(incarnation, std::slice::from_ref(&entry.stay)),
        shared.cluster.presence.enter(std::slice::from_ref(entry), incarnation, Announce::Yes),
        note
    );
    indexed?;
    noted?;
    if shared.lease.incarnation().as_ref() != Some(incarnation) {
        shared.lease.reassert_soon(PartitionSet::ALL);
    }
    Ok(members?.first().copied().unwrap_or(1))
}
