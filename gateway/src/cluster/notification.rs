//! A notification, its id, and its client events (PROTOCOL "Notifications"). Events are text, because [`super::inbox`]
//! publishes them in the step that changes the inbox; in Redis its scripts build `notification:new` and the count
//! themselves.

use std::{fmt, sync::Arc};

use jackfield_shared::time::now_rfc3339;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::notice::event_json;

/// Length of an id as text.
const HYPHENATED: usize = 36;

/// A UUID v7. Ids sort by time, also as text: an inbox orders its notifications by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotificationId(Uuid);

impl NotificationId {
    /// A new id with the current time.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// Parses the hyphenated form; `None` when the text is not a UUID v7 in that form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok().filter(|_| text.len() == HYPHENATED);
        id.filter(|id| id.get_version_num() == 7).map(Self)
    }

    /// Its time, in Unix milliseconds.
    #[must_use]
    pub fn millis(&self) -> u64 {
        let [a, b, c, d, e, f, ..] = *self.0.as_bytes();
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl Default for NotificationId {
    fn default() -> Self {
        Self::new()
    }
}

/// Hyphenated, in lower case.
impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A notification as a backend posts it, to one user or to many.
#[derive(Debug, Clone)]
pub struct Posted {
    /// A notification posted again with the same id is the same notification.
    pub id: NotificationId,
    /// `{id,title,message,type,data?}`.
    pub(super) body: Arc<str>,
    /// RFC 3339.
    pub(super) at: Arc<str>,
}

#[derive(Serialize)]
struct Body<'a> {
    id: String,
    title: &'a str,
    message: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

impl Posted {
    /// A notification posted now. The caller limits the lengths.
    #[must_use]
    pub fn new(id: NotificationId, title: &str, message: &str, kind: &str, data: Option<&RawValue>) -> Self {
        let body = Body { id: id.to_string(), title, message, r#type: kind, data };
        // Strings and raw JSON always serialize.
        let body = serde_json::to_string(&body).unwrap_or_default();
        Self { id, body: body.into(), at: now_rfc3339().into() }
    }

    /// Its JSON as [`super::inbox::Page`] lists it, unread.
    #[must_use]
    pub fn json(&self) -> String {
        listed(&self.body, &self.at, false)
    }
}

/// A notification's JSON in a list: `{id,title,message,type,data?,read,createdAt}`.
pub(super) fn listed(body: &str, at: &str, read: bool) -> String {
    let fields = body.strip_suffix('}').unwrap_or(body);
    format!("{fields},\"read\":{read},\"createdAt\":\"{at}\"}}")
}

/// `notification:new`.
pub(super) fn new_event(posted: &Posted) -> Arc<str> {
    let Posted { body, at, .. } = posted;
    format!("\"notification:new\",{{\"notification\":{body},\"timestamp\":\"{at}\"}}").into()
}

/// `notification:unread_count`.
pub(super) fn count_event(unread: u64, at: &str) -> Arc<str> {
    format!("\"notification:unread_count\",{{\"unreadCount\":{unread},\"timestamp\":\"{at}\"}}").into()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    notification_id: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    success: bool,
}

/// `notification:read`, for one notification or, with `notificationId: null` and `all: true`, for all of them.
pub(super) fn read_event(id: Option<NotificationId>) -> Arc<str> {
    let read = Read { notification_id: id.map(|id| id.to_string()), all: id.is_none(), success: true };
    event_json("notification:read", &read).unwrap_or_default()
}

/// `notification:deleted`.
pub(super) fn deleted_event(id: NotificationId, at: &str) -> Arc<str> {
    format!("\"notification:deleted\",{{\"notificationId\":\"{id}\",\"timestamp\":\"{at}\"}}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_as_text_and_as_values() {
        let ids: Vec<_> = (0..100).map(|_| NotificationId::new()).collect();
        assert!(ids.is_sorted() && ids.iter().map(ToString::to_string).is_sorted());
        let parsed = NotificationId::parse("018BCFE5-6800-7000-8000-00000000002A").unwrap();
        assert_eq!(parsed.millis(), 1_700_000_000_000);
        assert_eq!(parsed.to_string(), "018bcfe5-6800-7000-8000-00000000002a");
        for odd in [
            "",
            "x",
            "018bcfe5-6800-4000-8000-00000000002a",
            "018bcfe5-6800-7000-8000-00000000002a ",
            "018bcfe568007000800000000000002a",
        ] {
            assert_eq!(NotificationId::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_notification_and_its_events_are_json() {
        let id = NotificationId::new();
        let data = serde_json::value::to_raw_value(&[1, 2]).unwrap();
        let posted = Posted::new(id, "a \"b\"", "c\n", "info", Some(&data));
        let expected = serde_json::json!({
            "id": id.to_string(), "title": "a \"b\"", "message": "c\n", "type": "info", "data": [1, 2],
            "read": false, "createdAt": &*posted.at,
        });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&posted.json()).unwrap(), expected);
        for event in [new_event(&posted), count_event(3, &posted.at), read_event(None), read_event(Some(id))] {
            serde_json::from_str::<(String, serde_json::Value)>(&format!("[{event}]")).unwrap();
        }
        let all = "\"notification:read\",{\"notificationId\":null,\"all\":true,\"success\":true}";
        assert_eq!(&*read_event(None), all);
    }
}
