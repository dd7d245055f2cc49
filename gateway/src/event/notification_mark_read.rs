//! `notification:mark_read` `{notificationId}` or `{all:true}`: every socket of the user, the sender's too, gets
//! `notification:read` `{notificationId, success:true}` (for all of them `{notificationId:null, all:true,
//! success:true}`) and then the count. Acknowledged with `{success:true}`, even if the notification does not exist: then
//! it is not unread, as requested, and no socket gets an event.

use jackfield_cluster::inbox::NotificationId;
use serde::{Deserialize, Serialize};

use super::{EventError, parse::Event};
use crate::session::Sender;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", expecting = "{notificationId} or {all:true}")]
struct Args {
    notification_id: Option<String>,
    #[serde(default)]
    all: bool,
}

#[derive(Serialize)]
pub(super) struct Marked {
    success: bool,
}

pub(super) async fn handle(sender: &Sender<'_>, event: &Event<'_>) -> Result<Marked, EventError> {
    let id = match event.data()? {
        Args { notification_id: None, all: true } => None,
        Args { notification_id: Some(text), all: false } => Some(
            NotificationId::parse(&text)
                .ok_or_else(|| EventError::Validation("notificationId must be the id of a notification".into()))?,
        ),
        _ => return Err(EventError::Validation("either notificationId or all:true is required".into())),
    };
    sender.shared.cluster.inbox.mark_read(&sender.client.identity.user_id, id).await?;
    Ok(Marked { success: true })
}
