//! The JSON of notifications for clients and backends: the only place that writes it.

use std::fmt::Write as _;

use jackfield_cluster::{
    inbox::{NotificationId, Page, Posted, Stored},
    wire::InboxChange,
};
use jackfield_engine::event_content;
use jackfield_shared::time::now_rfc3339;
use serde::Serialize;
use serde_json::value::RawValue;

/// Most notifications in a page.
pub(crate) const MAX_PAGE: usize = 100;
/// Notifications in a page if the caller sets no limit.
const DEFAULT: usize = 50;

#[derive(Serialize)]
struct Body<'a> {
    id: String,
    title: &'a str,
    message: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

/// A notification that is posted now, with the body `{id,title,message,type,data?}`. The caller checks the lengths.
pub(crate) fn posted(id: NotificationId, title: &str, message: &str, kind: &str, data: Option<&RawValue>) -> Posted {
    let body = Body { id: id.to_string(), title, message, r#type: kind, data };
    // Strings and raw JSON always serialize.
    let body = serde_json::to_string(&body).unwrap_or_default();
    Posted { id, body: body.into(), at: now_rfc3339().into() }
}

/// Checks the `before` and `limit` of a request for a list.
///
/// # Errors
/// Names the field.
pub(crate) fn page_of(before: Option<String>, limit: Option<usize>) -> Result<(Option<NotificationId>, usize), String> {
    let limit = limit.unwrap_or(DEFAULT);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(format!("limit must be 1 to {MAX_PAGE}"));
    }
    let id = |text: String| NotificationId::parse(&text).ok_or_else(|| "before must be a notification's id".to_owned());
    Ok((before.map(id).transpose()?, limit))
}

/// The fields of a page in JSON: `"notifications":[…],"unreadCount":…,"more":…`. Each notification is
/// `{id,title,message,type,data?,read,createdAt}`.
pub(crate) fn page_fields(page: &Page) -> String {
    let mut json = String::from("\"notifications\":[");
    for (index, Stored { body, at, read }) in page.notifications.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let fields = body.strip_suffix('}').unwrap_or(body);
        // Writing to a String cannot fail.
        let _ = write!(json, "{comma}{fields},\"read\":{read},\"createdAt\":\"{at}\"}}");
    }
    let _ = write!(json, "],\"unreadCount\":{},\"more\":{}", page.unread, page.more);
    json
}

/// The events that the user's sockets get for a change of the inbox, in order: the change's, then the count's.
pub(crate) fn events(change: &InboxChange, unread: u64, at: &str) -> [String; 2] {
    [event(change, at), count(unread, at)]
}

/// The event with the number of unread notifications.
pub(crate) fn count(unread: u64, at: &str) -> String {
    format!("\"notification:unread_count\",{{\"unreadCount\":{unread},\"timestamp\":\"{at}\"}}")
}

fn event(change: &InboxChange, at: &str) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Read {
        notification_id: Option<String>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        all: bool,
        success: bool,
    }
    match change {
        InboxChange::New(body) => {
            format!("\"notification:new\",{{\"notification\":{body},\"timestamp\":\"{at}\"}}")
        }
        InboxChange::Read(id) => {
            let read = Read { notification_id: id.map(|id| id.to_string()), all: id.is_none(), success: true };
            // Text and booleans always serialize.
            event_content("notification:read", &read).unwrap_or_default()
        }
        InboxChange::Deleted(id) => {
            format!("\"notification:deleted\",{{\"notificationId\":\"{id}\",\"timestamp\":\"{at}\"}}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_notification_and_its_events_are_json() {
        let id = NotificationId::new();
        let data = serde_json::value::to_raw_value(&[1, 2]).unwrap();
        let posted = posted(id, "a \"b\"", "c\n", "info", Some(&data));
        let stored = Stored { body: Arc::clone(&posted.body), at: Arc::clone(&posted.at), read: false };
        let page = Page { notifications: vec![stored.clone(), stored], unread: 2, more: true };
        let listed = json!({
            "id": id.to_string(), "title": "a \"b\"", "message": "c\n", "type": "info", "data": [1, 2],
            "read": false, "createdAt": &*posted.at,
        });
        let expected = json!({ "notifications": [listed, listed], "unreadCount": 2, "more": true });
        assert_eq!(serde_json::from_str::<Value>(&format!("{{{}}}", page_fields(&page))).unwrap(), expected);
        for change in [
            InboxChange::New(Arc::clone(&posted.body)),
            InboxChange::Read(None),
            InboxChange::Read(Some(id)),
            InboxChange::Deleted(id),
        ] {
            for event in events(&change, 3, &posted.at) {
                serde_json::from_str::<(String, Value)>(&format!("[{event}]")).unwrap();
            }
        }
        let all = "\"notification:read\",{\"notificationId\":null,\"all\":true,\"success\":true}";
        assert_eq!(events(&InboxChange::Read(None), 0, &posted.at)[0], all);
    }

    #[test]
    fn a_page_has_one_to_a_hundred() {
        assert_eq!(page_of(None, None), Ok((None, 50)));
        assert!(page_of(None, Some(0)).is_err() && page_of(None, Some(101)).is_err());
        assert!(page_of(Some("x".into()), None).unwrap_err().starts_with("before"));
    }
}
