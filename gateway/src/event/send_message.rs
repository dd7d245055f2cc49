//! `send-message` `{room, content, clientId?}`: stored, numbered, and sent to all members as `new-message` `{id, room,
//! content, sender:{id,name}, timestamp}`, including the sender. Acknowledged once it is stored, and has reached what the
//! room's rule wants (`durable`). A message sent again
//! with the same `clientId` is stored once, and acknowledged even if the socket has not joined the room again.

use jackfield_cluster::log::Appended;
use jackfield_shared::time::now;
use serde::{Deserialize, Serialize};

use super::{EventError, content::Text, parse::Event, room};
use crate::{
    room::{Author, message_body, rules::Action},
    session::Sender,
};

/// Most characters of a `clientId`.
pub(crate) const MAX_CLIENT_ID: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{room, content, clientId?}")]
struct Args<'a> {
    room: String,
    #[serde(borrow)]
    content: Text<'a>,
    #[serde(borrow)]
    client_id: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stored {
    status: &'static str,
    message_id: String,
    /// The durability that it has reached.
    durable: &'static str,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Stored, EventError> {
    let Args { room, content, client_id } = event.data()?;
    let to = match room::joined(sender, &room) {
        Ok(to) => to,
        // After a reconnect a stock client resends before the application joins the room again.
        Err(not_in_room) => return stored_before(sender, &room, client_id.as_ref()).await?.ok_or(not_in_room),
    };
    room::authorize(sender, &room, Action::Send)?;
    content.check("content")?;
    if client_id.as_ref().is_some_and(|id| !is_client_id(id)) {
        return Err(EventError::Validation(format!("clientId must have 1 to {MAX_CLIENT_ID} characters")));
    }
    let author = Author { id: &sender.client.identity.user_id, name: &sender.client.identity.name };
    let body = message_body(&room, &content, author);
    let durable = sender.shared.rules.durability(&room);
    let key = client_id.map(|id| user_key(&sender.client.identity.user_id, id.json()));
    if let Err(wait) = sender.client.user.may_store(!to.is_begun(), now()) {
        let known = match &key {
            Some(key) => sender.shared.cluster.log.find(to.name(), key, durable).await?,
            None => None,
        };
        return known.map(Stored::at).ok_or_else(|| wait.into());
    }
    let appended = sender.shared.rooms.append(&to, &body, key.as_deref(), durable).await?;
    if appended.new {
        sender.client.user.stored(body.len(), appended.position.number == 1, now());
    }
    Ok(Stored::at(appended))
}

/// The acknowledgement of a message that this user stored in the room under the same `clientId`; `None` if there is
/// none, or if the user may not join the room or send to it.
async fn stored_before(
    sender: &Sender<'_>,
    room: &str,
    client_id: Option<&Text<'_>>,
) -> Result<Option<Stored>, EventError> {
    let Some(client_id) = client_id.filter(|id| is_client_id(id)) else { return Ok(None) };
    let Ok(name) = room::name(sender, room) else { return Ok(None) };
    if room::authorize(sender, room, Action::Join).and_then(|()| room::authorize(sender, room, Action::Send)).is_err() {
        return Ok(None);
    }
    let key = user_key(&sender.client.identity.user_id, client_id.json());
    let durable = sender.shared.rules.durability(room);
    Ok(sender.shared.cluster.log.find(&name, &key, durable).await?.map(Stored::at))
}

fn is_client_id(id: &Text<'_>) -> bool {
    (1..=MAX_CLIENT_ID).contains(&id.characters())
}

/// The log's key for a user's `clientId`. The length in front makes it unambiguous, whatever the ids contain.
fn user_key(user: &str, client_id: &str) -> String {
    format!("{}:{user}{client_id}", user.len())
}

impl Stored {
    fn at(Appended { position, durable, .. }: Appended) -> Self {
        Self { status: "ok", message_id: position.to_string(), durable: durable.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_of_two_users_differ() {
        assert_ne!(user_key("ann b", "c"), user_key("ann", "b c"));
        assert_ne!(user_key("ann", "1:b"), user_key("ann1", ":b"));
    }

    proptest! {
        #[test]
        fn keys_differ_if_user_or_client_id_differ(
            users in prop::array::uniform2("[a-c0-9: ]{1,4}"), ids in prop::array::uniform2("[a-c0-9: ]{1,4}")
        ) {
            let same = users[0] == users[1] && ids[0] == ids[1];
            prop_assert_eq!(same, user_key(&users[0], &ids[0]) == user_key(&users[1], &ids[1]));
        }
    }
}
