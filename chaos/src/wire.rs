//! The payloads of PROTOCOL's room events, limited to the fields that this client reads and writes.

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

/// `join-room`.
#[derive(Serialize)]
pub struct JoinRoom<'a> {
    pub room: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<&'a str>,
}

/// `send-message`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage<'a> {
    pub room: &'a str,
    pub content: &'a str,
    pub client_id: &'a str,
}

/// Any ack.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub status: String,
    pub code: Option<String>,
    pub message_id: Option<String>,
    pub position: Option<String>,
    pub recovered: Option<bool>,
    pub retry_after_ms: Option<u64>,
}

/// `new-message`, and each of `recent-messages`.
#[derive(Deserialize)]
pub struct NewMessage {
    pub id: String,
    pub room: String,
    pub content: String,
    pub sender: Sender,
    #[serde(rename = "timestamp")]
    _timestamp: IgnoredAny,
}

#[derive(Deserialize)]
pub struct Sender {
    pub id: String,
    #[serde(rename = "name")]
    _name: IgnoredAny,
}

/// Second argument of `recent-messages`.
#[derive(Deserialize)]
pub struct Page {
    pub room: String,
    pub more: bool,
}

/// `room-reset`.
#[derive(Deserialize)]
pub struct Reset {
    pub room: String,
    pub position: String,
}

/// `user:offline` and `user-left`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Departure {
    pub user_id: String,
}

/// The only argument of an ack.
pub fn answer(data: &str) -> serde_json::Result<Answer> {
    serde_json::from_str::<(Answer,)>(data).map(|(answer,)| answer)
}

/// The only argument of an event, besides an offset.
pub fn argument<T: DeserializeOwned>(data: &str) -> serde_json::Result<T> {
    #[derive(Deserialize)]
    struct Event<T>(IgnoredAny, T, #[serde(default)] IgnoredAny);
    serde_json::from_str::<Event<T>>(data).map(|Event(_, argument, _)| argument)
}

/// The arguments of `recent-messages`, besides an offset.
pub fn page(data: &str) -> serde_json::Result<(Vec<NewMessage>, Page)> {
    #[derive(Deserialize)]
    struct Event(IgnoredAny, Vec<NewMessage>, Page, #[serde(default)] IgnoredAny);
    serde_json::from_str::<Event>(data).map(|Event(_, list, page, _)| (list, page))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_acks_are_read() {
        let message =
            r#"{"id":"1-2","room":"r","content":"a \"b\"","sender":{"id":"m1","name":"M 1"},"timestamp":"t"}"#;
        for offset in ["", r#","r1.x""#] {
            let event = format!(r#"["new-message",{message}{offset}]"#);
            let read: NewMessage = argument(&event).unwrap();
            assert_eq!((&*read.id, &*read.room, &*read.content, &*read.sender.id), ("1-2", "r", "a \"b\"", "m1"));
            let event = format!(r#"["recent-messages",[{message},{message}],{{"room":"r","more":true}}{offset}]"#);
            let (list, of) = page(&event).unwrap();
            assert_eq!((list.len(), &*of.room, of.more), (2, "r", true));
        }
        let read = answer(r#"[{"status":"ok","room":"r","position":"1-0","members":3,"recovered":true}]"#).unwrap();
        assert_eq!((&*read.status, read.position.as_deref(), read.recovered), ("ok", Some("1-0"), Some(true)));
        let read = answer(r#"[{"status":"error","code":"rate_limited","message":"no","retryAfterMs":5}]"#).unwrap();
        assert_eq!((read.code.as_deref(), read.retry_after_ms), (Some("rate_limited"), Some(5)));
    }

    #[test]
    fn joins_are_written_with_and_without_since() {
        let text = |since| serde_json::to_string(&JoinRoom { room: "r", since }).unwrap();
        assert_eq!(text(None), r#"{"room":"r"}"#);
        assert_eq!(text(Some("5")), r#"{"room":"r","since":"5"}"#);
    }
}
