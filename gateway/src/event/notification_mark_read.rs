//! `notification:mark_read` `{notificationId}` or `{all:true}`: every socket of the user, the sender's too, gets
//! `notification:read` `{notificationId, success:true}` (for all of them `{notificationId:null, all:true,
//! success:true}`) and then the count. Acknowledged with `{success:true}`, even if the notification is gone: it is not
//! unread then, as the client wants, and no socket gets an event.

use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event};
use crate::{client::Client, cluster::notification::NotificationId};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{notificationId} or {all:true}")]
struct Which {
    notification_id: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Serialize)]
pub(super) struct Marked {
    success: bool,
}

pub(super) async fn handle(client: &Client, event: &Event<'_>) -> Result<Marked, EventError> {
    let id = match event.data()? {
        Which { notification_id: None, all: true } => None,
        Which { notification_id: Some(text), all: false } => Some(
            NotificationId::parse(&text)
                .ok_or_else(|| EventError::Validation("notificationId must be the id of a notification".into()))?,
        ),
        _ => return Err(EventError::Validation("either notificationId or all:true must be there".into())),
    };
    client.node.cluster.inbox.mark_read(&client.identity.user_id, id).await?;
    Ok(Marked { success: true })
}
