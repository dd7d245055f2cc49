//! `join-room` `"room"` or `{room, since?}`: the others get `user-joined`; the sender gets `joined`, `recent-messages` and
//! the acknowledgement `{status, room, position, members, recovered?}`, in this order and before any live message.

use std::sync::Arc;

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
        presence::Saying,
        room_presence::{Entry, Stay},
    },
    room::{Joining, rules::Wish},
};

#[derive(Deserialize)]
#[serde(expecting = "room's name or {room, since?}")]
struct Wanted {
    room: String,
    since: Option<String>,
}

/// The room's task acknowledges, so that nothing comes in between.
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
    let entry = client.entry(name.clone());
    let entered = enter(client, &entry, &incarnation).await;
    let stay = entry.stay;
    let joined = match entered {
        Ok(members) => {
            let joining = Joining { client: Arc::clone(client), since, ack, members };
            client.node.rooms.join(&client.node, &name, joining).await
        }
        Err(unavailable) => Err(unavailable),
    };
    match joined {
        Ok((room, _)) if client.entered(room.clone(), &stay) => Ok(()),
        // The connection ended in between.
        Ok(_) => {
            client.node.rooms.leave(&name, &client.id).await;
            give_back(client, stay, incarnation);
            Ok(())
        }
        Err(Unavailable) => {
            if !was_in {
                give_back(client, stay, incarnation);
            }
            Err(EventError::Unavailable)
        }
    }
}

/// Counts the user among the members, and returns how many there are.
async fn enter(client: &Client, entry: &Entry, incarnation: &Incarnation) -> Result<usize, Unavailable> {
    let node = &client.node;
    let noted = [IndexEntry::Room(entry.stay.clone())];
    // The note goes out first, on the same connection.
    let (noted, members) = tokio::join!(
        node.cluster.membership.note(incarnation, &noted),
        node.cluster.room_presence.enter(std::slice::from_ref(entry), incarnation, Saying::Aloud)
    );
    noted?;
    if node.incarnation().as_ref() != Some(incarnation) {
        node.reassert_soon();
    }
    Ok(members?.first().copied().unwrap_or(1))
}

fn give_back(client: &Client, stay: Stay, incarnation: Incarnation) {
    client.node.departures.push(IndexEntry::Room(stay), incarnation);
}
