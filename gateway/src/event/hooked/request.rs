//! The request to a hook about an event: its id, its arguments and the sender.
//!
//! Guarantees: the same event sent again with the same `clientId` has the same id; what a client sends grows by no more
//! than base64 does. Deliberately checks no argument: the backend does.

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use jackfield_cluster::ids::random_id;
use jackfield_shared::{
    json_depth::{MAX_DEPTH, is_deeper},
    time::rfc3339,
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest as _, Sha256};

use crate::{
    emit::put_parts,
    event::{EventError, parse::Event},
    session::{Client, Connection},
};

/// Most characters of a `clientId`; a longer one counts as absent.
const MAX_CLIENT_ID: usize = 64;
/// Bytes of a hash that an id has.
const ID_BYTES: usize = 16;

/// An event's id, for `webhook-id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) text: String,
    /// The client chose it: a repetition has the same one.
    pub(super) is_stable: bool,
}

impl EventId {
    /// The id of an event whose first argument may have a `clientId`.
    pub(super) fn new(user: &str, namespace: &str, event: &Event<'_>) -> Self {
        let client_id = event.client_id();
        let client_id = client_id.filter(|id| (1..=MAX_CLIENT_ID).contains(&id.chars().count()));
        match client_id {
            Some(client_id) => Self { text: stable(user, namespace, &event.name, &client_id), is_stable: true },
            None => Self { text: format!("evt_{}", random_id()), is_stable: false },
        }
    }
}

fn stable(user: &str, namespace: &str, event: &str, client_id: &str) -> String {
    // JSON, so that no two different lists have the same text.
    let hash = Sha256::digest(json!([user, namespace, event, client_id]).to_string());
    hash.iter().take(ID_BYTES).fold("evt_".to_owned(), |mut id, byte| {
        // Writing to a string does not fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The event's arguments as a JSON array, in which binary parts are `{"$binary": "<base64>"}`.
///
/// # Errors
/// They are nested too deep, or use a binary part twice.
pub(super) fn arguments(event: &Event<'_>) -> Result<Box<RawValue>, EventError> {
    let invalid = |text: &str| EventError::Validation(format!("arguments {text}"));
    let mut text = format!("[{}]", event.arguments());
    if is_deeper(text.as_bytes(), MAX_DEPTH) {
        return Err(invalid(&format!("must not be nested more than {MAX_DEPTH} levels deep")));
    }
    if let Some(parts) = event.parts {
        let mut value: Value = serde_json::from_str(&text).map_err(|_| invalid("cannot be read"))?;
        // Otherwise a short text with many placeholders of one long part would become a very long one.
        if !each_part_once(&value, &mut vec![false; parts.count()]) {
            return Err(invalid("must use each binary part once"));
        }
        put_parts(&mut value, parts);
        text = value.to_string();
    }
    RawValue::from_string(text).map_err(|_| invalid("cannot be read"))
}

/// Whether no part has more than one place. All placeholders refer to parts that exist.
fn each_part_once(value: &Value, used: &mut [bool]) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| each_part_once(item, used)),
        Value::Object(fields) if fields.get("_placeholder") == Some(&Value::Bool(true)) => {
            let number = fields.get("num").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            number.and_then(|number| used.get_mut(number)).is_some_and(|used| !std::mem::replace(used, true))
        }
        Value::Object(fields) => fields.values().all(|field| each_part_once(field, used)),
        _ => true,
    }
}

/// The request's body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    id: &'a str,
    r#type: &'static str,
    namespace: &'a str,
    event: &'a str,
    args: &'a RawValue,
    ack: bool,
    socket_id: String,
    session: String,
    rooms: Vec<Arc<str>>,
    user: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Arc<RawValue>>,
    timestamp: String,
}

/// The parts of a request that the event itself has.
pub(super) struct Told<'a> {
    pub(super) id: &'a str,
    pub(super) event: &'a str,
    pub(super) args: &'a RawValue,
    pub(super) ack: bool,
    /// When the event arrived.
    pub(super) at: DateTime<Utc>,
}

/// The request's body, with the sender's present rooms and roles. `None` if it cannot be JSON.
pub(super) fn body(connection: &Connection, client: &Client, told: &Told<'_>) -> Option<Bytes> {
    let Told { id, event, args, ack, at } = *told;
    let identity = &client.identity;
    let request = Request {
        id,
        r#type: "event",
        namespace: &client.namespace.name,
        event,
        args,
        ack,
        socket_id: client.id.to_string(),
        session: client.session.to_string(),
        rooms: client.room_names(),
        user: json!({
            "id": identity.user_id,
            "email": identity.email,
            "name": identity.name,
            "roles": connection.roles(),
        }),
        data: connection.data_of(client),
        timestamp: rfc3339(at),
    };
    serde_json::to_vec(&request).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use jackfield_engine::Parts;

    use super::*;

    fn event<'a>(json: &'a str, parts: Option<&'a Parts>) -> Event<'a> {
        Event::parse(json, parts).unwrap()
    }

    #[test]
    fn a_client_id_makes_the_id() {
        let id = |json: &str| EventId::new("u", "/", &event(json, None));
        let one = id(r#"["order", {"clientId":"c1"}, 2]"#);
        assert_eq!(one.text, "evt_77812fe1bf7d6ce9e218ca11a76d8f81");
        assert!(one.is_stable);
        assert_eq!(id(r#"["order", {"x":[1],"clientId":"c1"}]"#), one, "whatever else it has");
        for other in [r#"["order", {"clientId":"c2"}]"#, r#"["other", {"clientId":"c1"}]"#] {
            assert_ne!(id(other), one);
        }
        assert_ne!(EventId::new("u2", "/", &event(r#"["order", {"clientId":"c1"}]"#, None)), one);
        assert_ne!(EventId::new("u", "/chat", &event(r#"["order", {"clientId":"c1"}]"#, None)), one);
        let long = format!(r#"["order", {{"clientId":"{}"}}]"#, "x".repeat(65));
        for none in [
            r#"["order"]"#,
            r#"["order", ["c1"]]"#,
            r#"["order", "c1"]"#,
            r#"["order", {"clientId":1}]"#,
            r#"["order", {"clientId":""}]"#,
            r#"["order", {"clientId":"c1","clientId":"c1"}]"#,
            &long,
        ] {
            let (first, second) = (id(none), id(none));
            assert!(!first.is_stable && first != second && first.text.starts_with("evt_"), "{none}");
        }
    }

    #[test]
    fn arguments_are_passed_on_as_they_are() {
        let text = |json: &str| arguments(&event(json, None)).map(|args| args.get().to_owned());
        assert_eq!(text(r#"["e"]"#), Ok("[]".into()));
        assert_eq!(
            text(r#"["e", 12345678901234567890123, "\ud800" ]"#),
            Ok(r#"[12345678901234567890123, "\ud800"]"#.into())
        );
        let deep = |levels: usize| format!("[\"e\",{}{}]", "[".repeat(levels), "]".repeat(levels));
        assert!(text(&deep(MAX_DEPTH - 1)).is_ok());
        assert!(matches!(text(&deep(MAX_DEPTH)), Err(EventError::Validation(_))));
    }

    #[test]
    fn each_binary_part_is_used_once() {
        let parts = Parts::new(vec![Bytes::from_static(&[1, 2]), Bytes::new()]).unwrap();
        let place = |number: usize| Parts::placeholder(number);
        let text = |args: String| {
            arguments(&event(&format!("[\"e\",{args}]"), Some(&parts))).map(|args| args.get().to_owned())
        };
        assert_eq!(
            text(format!("{},{{\"a\":[{}]}}", place(1), place(0))),
            Ok(r#"[{"$binary":""},{"a":[{"$binary":"AQI="}]}]"#.into())
        );
        let twice = text(format!("{},{}", place(0), place(0))).unwrap_err();
        assert!(twice.to_string().contains("once"), "{twice}");
    }
}
