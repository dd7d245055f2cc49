//! `join-room` `"room"` or `{room, since?}`: the others get `user-joined`; the sender gets `joined`, `recent-messages`
//! and the acknowledgement `{status, room, position, members, recovered?}`, in this order and before any live message.
//! A socket gets more than a page of a room at most once in ten seconds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    EventError,
    parse::{Event, TextOr},
    room,
};
use crate::{
    client::Client,
    cluster::{
        Unavailable,
        ids::{Incarnation, IndexEntry},
        presence::Announce,
        room_name::RoomName,
        room_presence::{Entry, RoomStay},
    },
    room::{JoinError, Joined, Joining, Room, rules::Wish},
};

/// Shortest time before a socket may again get more than a page of the same room.
const MUCH_PACE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(expecting = "room's name or {room, since?}")]
struct Wanted {
    room: String,
    since: Option<String>,
}

/// The room's task sends the acknowledgement, so that no live message comes in between.
pub(super) async fn handle(client: &Arc<Client>, event: &Event<'_>, ack: Option<i64>) -> Result<(), EventError> {
    let (text, since) = match event.text_or()? {
        TextOr::Text(room) => (room, None),
        TextOr::Other(Wanted { room, since }) => (room, since),
    };
    let name = room::name(client, &text)?;
    room::may(client, &text, Wish::Join)?;
    let most = client.node.settings.limits.rooms as usize;
    let was_in = client.room(&text).is_some();
    if !was_in && most > 0 && client.room_count() >= most {
        return Err(EventError::TooManyRooms { most });
    }
    let incarnation = client.node.incarnation().ok_or(Unavailable)?;
    if client.node.departures.is_full() {
        return Err(Unavailable.into());
    }
    let entry = client.entry(name.clone());
    let entered = enter(client, &entry, &incarnation).await;
    let stay = entry.stay;
    let joined = match entered {
        Ok(members) => {
            let mut joining = Joining::new(Arc::clone(client), since, ack, members);
            (joining.again, joining.not_before) = (was_in, client.told_much(&text));
            come_in(&name, joining).await
        }
        Err(unavailable) => Err(unavailable.into()),
    };
    match joined {
        Ok(room) if client.entered(room.clone(), &stay) => Ok(()),
        // The connection ended in between.
        Ok(_) => {
            client.node.rooms.leave(&name, &client.id).await;
            give_back(client, stay, incarnation);
            Ok(())
        }
        Err(error) => {
            if !was_in {
                give_back(client, stay, incarnation);
            }
            Err(match error {
                JoinError::Unavailable => EventError::Unavailable,
                JoinError::TooSoon { wait, .. } => wait.into(),
            })
        }
    }
}

/// Repeats until the socket has all that it missed and is in the room. The bytes it gets count as events of its user.
async fn come_in(name: &RoomName, mut joining: Joining) -> Result<Room, JoinError> {
    let client = Arc::clone(&joining.client);
    let node = &client.node;
    loop {
        let joined = node.rooms.join(node, name, joining.clone()).await;
        let now = Instant::now();
        match joined {
            Ok((room, Joined::In { bytes, is_long, .. })) => {
                client.user.charge(bytes, now);
                if is_long || joining.told.is_some() {
                    client.tell_much_from(&name.name, now + MUCH_PACE, now);
                }
                return Ok(room);
            }
            Ok((_, Joined::More { told, bytes })) => {
                client.user.charge(bytes, now);
                joining.told = Some(told);
                if !client.has_read().await {
                    node.rooms.leave(name, &client.id).await;
                    return Err(JoinError::Unavailable);
                }
            }
            Err(error) => {
                if let JoinError::TooSoon { bytes, .. } = error {
                    client.user.charge(bytes, now);
                }
                if joining.told.is_some() && joining.again {
                    // The client believes that it is in the room: it reconnects and asks for the rest.
                    client.close();
                }
                return Err(error);
            }
        }
    }
}

/// Registers the user as a member of the room, and returns the number of members.
async fn enter(client: &Client, entry: &Entry, incarnation: &Incarnation) -> Result<usize, Unavailable> {
    let node = &client.node;
    let noted = [IndexEntry::Room(entry.stay.clone())];
    // The note is sent first, on the same connection.
    let (noted, members) = tokio::join!(
        biased;
        node.cluster.membership.index_add(incarnation, &noted),
        node.cluster.room_presence.enter(std::slice::from_ref(entry), incarnation, Announce::Yes)
    );
    noted?;
    if node.incarnation().as_ref() != Some(incarnation) {
        node.reassert_soon();
    }
    Ok(members?.first().copied().unwrap_or(1))
}

fn give_back(client: &Client, stay: RoomStay, incarnation: Incarnation) {
    client.node.departures.push(IndexEntry::Room(stay), incarnation);
}
