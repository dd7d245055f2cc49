//! A hook's answer to an event, checked as a whole before any action. Pure.
//!
//! | answer | becomes |
//! |---|---|
//! | 2xx with `{ack?, emit?, join?, leave?, disconnect?}`, or without a body | [`Reading::Do`] |
//! | 4xx with `{code, message}` | [`Reading::Reject`] |
//! | 5xx | [`Reading::Unavailable`] |
//! | anything else | [`Reading::Bad`] |

use std::sync::Arc;

use jackfield_cluster::wire::Target;
use jackfield_engine::Parts;
use jackfield_shared::json_depth::{MAX_DEPTH, is_deeper};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    emit::{To, ToRequest, arguments, content, room},
    hook::is_code,
};

/// Most emits, joins and leaves, each.
const MAX_ACTIONS: usize = 100;
/// Most characters of a reason, and of an error's message.
const MAX_TEXT: usize = 256;
/// The code of an error whose body has none.
const DEFAULT_CODE: &str = "rejected";

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Do(Actions),
    /// The client gets this error.
    Reject {
        code: String,
        message: String,
    },
    /// The backend failed; nothing is wrong with its answer.
    Unavailable,
    /// The answer cannot be used, for this reason.
    Bad(String),
}

/// The actions that the backend asks for, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Actions {
    pub(super) join: Vec<Arc<str>>,
    pub(super) leave: Vec<Arc<str>>,
    pub(super) emits: Vec<Emit>,
    /// The acknowledgement's arguments; `None` for the usual one.
    pub(super) ack: Option<Ack>,
    /// Disconnects the socket, with this reason.
    pub(super) disconnect: Option<Arc<str>>,
}

/// One event to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Emit {
    pub(super) to: To,
    pub(super) except: Vec<Target>,
    pub(super) content: String,
    pub(super) parts: Option<Parts>,
}

/// JSON, with commas between the arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) arguments: String,
    pub(super) parts: Option<Parts>,
}

/// The limits and defaults of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Most binary parts of an emit, and of the acknowledgement.
    pub(super) attachments: usize,
    /// The hook's namespace, that of the emits which name none.
    pub(super) namespace: &'static str,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Text {
    ack: Option<Vec<Value>>,
    #[serde(default)]
    emit: Vec<EmitText>,
    #[serde(default)]
    join: Vec<String>,
    #[serde(default)]
    leave: Vec<String>,
    disconnect: Option<DisconnectText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmitText {
    event: String,
    // Also `null` is data.
    #[serde(default, deserialize_with = "present")]
    data: Option<Value>,
    args: Option<Vec<Value>>,
    to: ToRequest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisconnectText {
    reason: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads an answer.
pub(super) fn read(status: u16, body: &[u8], terms: Terms) -> Reading {
    match status {
        200..=299 => match actions(body, terms) {
            Ok(actions) => Reading::Do(actions),
            Err(reason) => Reading::Bad(reason),
        },
        400..=499 => reject(body),
        500..=599 => Reading::Unavailable,
        status => Reading::Bad(format!("status {status}: no redirect is followed")),
    }
}

fn actions(body: &[u8], terms: Terms) -> Result<Actions, String> {
    if body.is_empty() {
        return Ok(Actions::default());
    }
    if is_deeper(body, MAX_DEPTH) {
        return Err(format!("the answer is nested more than {MAX_DEPTH} levels deep"));
    }
    let Text { ack, emit, join, leave, disconnect } =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not as expected: {error}"))?;
    for (field, count) in [("emit", emit.len()), ("join", join.len()), ("leave", leave.len())] {
        if count > MAX_ACTIONS {
            return Err(format!("at most {MAX_ACTIONS} entries in {field}"));
        }
    }
    let ack =
        ack.map(|args| arguments(args, terms.attachments)).transpose().map_err(|error| format!("ack: {error}"))?;
    let emits = emit
        .into_iter()
        .enumerate()
        .map(|(index, text)| emit_of(text, terms).map_err(|error| format!("emit[{index}]: {error}")));
    let disconnect = disconnect.map(|DisconnectText { reason }| reason.unwrap_or_default());
    if disconnect.as_ref().is_some_and(|reason| reason.chars().count() > MAX_TEXT) {
        return Err(format!("disconnect.reason must have at most {MAX_TEXT} characters"));
    }
    Ok(Actions {
        join: rooms("join", join)?,
        leave: rooms("leave", leave)?,
        emits: emits.collect::<Result<_, _>>()?,
        ack: ack.map(|(arguments, parts)| Ack { arguments, parts }),
        disconnect: disconnect.map(Into::into),
    })
}

fn emit_of(EmitText { event, data, args, to }: EmitText, terms: Terms) -> Result<Emit, String> {
    let args = match (data, args) {
        (Some(_), Some(_)) => return Err("set one of data and args".into()),
        (data, None) => data.into_iter().collect(),
        (None, Some(args)) => args,
    };
    let (content, parts) = content(&event, args, terms.attachments)?;
    let (to, except) = to.check(terms.namespace)?;
    Ok(Emit { to, except, content, parts })
}

fn rooms(field: &str, names: Vec<String>) -> Result<Vec<Arc<str>>, String> {
    let check = |(index, name): (usize, String)| match room(None, &name) {
        Ok(room) => Ok(room.name),
        Err(error) => Err(format!("{field}[{index}]: {error}")),
    };
    names.into_iter().enumerate().map(check).collect()
}

/// The error in the body of a refusal; the usual one for what the body lacks.
fn reject(body: &[u8]) -> Reading {
    #[derive(Deserialize, Default)]
    struct Text {
        code: Option<Value>,
        message: Option<Value>,
    }
    let text: Text = serde_json::from_slice(body).unwrap_or_default();
    let code = text.code.as_ref().and_then(Value::as_str).filter(|code| is_code(code));
    let message = text.message.as_ref().and_then(Value::as_str).filter(|_| code.is_some());
    Reading::Reject {
        code: code.unwrap_or(DEFAULT_CODE).to_owned(),
        message: message.unwrap_or("The request was rejected").chars().take(MAX_TEXT).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_cluster::{ids::SocketId, room_name::RoomName};
    use proptest::prelude::*;
    use serde_json::json;

    const TERMS: Terms = Terms { attachments: 2, namespace: "/" };

    fn of(body: &Value) -> Reading {
        read(200, body.to_string().as_bytes(), TERMS)
    }

    fn bad(body: &Value) -> String {
        match of(body) {
            Reading::Bad(reason) => reason,
            other => panic!("{body}: {other:?}"),
        }
    }

    #[test]
    fn every_action_is_read() {
        let socket = SocketId::random();
        let answer = json!({
            "ack": [1, { "b": { "$binary": "AQI=" } }],
            "emit": [
                { "event": "a", "data": null, "to": { "user": "u", "except": [socket.to_string()] } },
                { "event": "b", "args": [1, [2]], "to": { "room": "r", "namespace": "/chat" } },
                { "event": "c", "to": { "socket": socket.to_string() } },
            ],
            "join": ["x", "y"],
            "leave": ["z"],
            "disconnect": { "reason": "bye" },
        });
        let parts = Parts::new(vec![bytes::Bytes::from_static(&[1, 2])]);
        let emit = |to, except, content: &str| Emit { to, except, content: content.into(), parts: None };
        let room = RoomName::parse(&"/chat".into(), "r").unwrap();
        let expected = Actions {
            join: vec!["x".into(), "y".into()],
            leave: vec!["z".into()],
            emits: vec![
                emit(To::Users(vec!["u".into()]), Target::excepted(&socket.to_string()).collect(), r#""a",null"#),
                emit(To::Room(room), vec![], r#""b",1,[2]"#),
                emit(To::Socket(socket, "/".into()), vec![], r#""c""#),
            ],
            ack: Some(Ack { arguments: r#"1,{"b":{"_placeholder":true,"num":0}}"#.into(), parts }),
            disconnect: Some("bye".into()),
        };
        assert_eq!(of(&answer), Reading::Do(expected));
        for nothing in [read(204, b"", TERMS), read(200, b"", TERMS), of(&json!({})), of(&json!({ "ack": null }))] {
            assert_eq!(nothing, Reading::Do(Actions::default()));
        }
        let empty = Actions { ack: Some(Ack { arguments: String::new(), parts: None }), ..Actions::default() };
        assert_eq!(of(&json!({ "ack": [] })), Reading::Do(empty));
    }

    #[test]
    fn emits_go_to_the_namespace_of_the_hook_unless_they_name_another() {
        let socket = SocketId::random();
        let to = |to: Value| {
            let body = json!({ "emit": [{ "event": "e", "to": to }] }).to_string();
            match read(200, body.as_bytes(), Terms { namespace: "/chat", ..TERMS }) {
                Reading::Do(mut actions) => actions.emits.remove(0).to,
                other => panic!("{other:?}"),
            }
        };
        let room = |namespace: &str| To::Room(RoomName::parse(&namespace.into(), "r").unwrap());
        assert_eq!(to(json!({ "room": "r" })), room("/chat"));
        assert_eq!(to(json!({ "room": "r", "namespace": "/" })), room("/"));
        assert_eq!(to(json!({ "everyone": true })), To::Everyone("/chat".into()));
        assert_eq!(to(json!({ "socket": socket.to_string() })), To::Socket(socket, "/chat".into()));
        assert_eq!(to(json!({ "socket": socket.to_string(), "namespace": "/" })), To::Socket(socket, "/".into()));
    }

    #[test]
    fn an_answer_with_one_mistake_does_nothing() {
        let emit = |emit: Value| json!({ "join": ["r"], "emit": [{ "event": "good", "to": { "user": "u" } }, emit] });
        let deep = (0..MAX_DEPTH).fold(json!(1), |inner, _| json!([inner]));
        let many = |one: Value| Value::from(vec![one; MAX_ACTIONS + 1]);
        for (answer, part) in [
            (json!([]), "not as expected"),
            (json!({ "acks": [] }), "unknown field"),
            (json!({ "ack": {} }), "not as expected"),
            (json!({ "ack": [{ "$binary": "?" }] }), "ack: "),
            (json!({ "ack": vec![json!({ "$binary": "" }); 3] }), "ack: at most 2 binary parts"),
            (json!({ "ack": [deep] }), "nested"),
            (json!({ "join": ["a b"] }), "join[0]: room must be"),
            (json!({ "join": ["r", "user:x"] }), "join[1]: "),
            (json!({ "leave": [""] }), "leave[0]: "),
            (json!({ "join": many(json!("r")) }), "at most 100 entries in join"),
            (json!({ "leave": many(json!("r")) }), "at most 100 entries in leave"),
            (json!({ "emit": many(json!({ "event": "e", "to": { "user": "u" } })) }), "at most 100 entries in emit"),
            (json!({ "disconnect": { "reason": "x".repeat(257) } }), "disconnect.reason"),
            (json!({ "disconnect": true }), "not as expected"),
            (emit(json!({ "event": "", "to": { "user": "u" } })), "emit[1]: event"),
            (emit(json!({ "event": "connect", "to": { "user": "u" } })), "emit[1]: event"),
            (emit(json!({ "event": "e", "to": { "user": "" } })), "emit[1]: to.user"),
            (emit(json!({ "event": "e", "to": { "room": "a b" } })), "emit[1]: room"),
            (emit(json!({ "event": "e", "to": { "everyone": false } })), "emit[1]: to.everyone"),
            (emit(json!({ "event": "e", "to": { "socket": "x" } })), "emit[1]: to.socket"),
            (emit(json!({ "event": "e", "to": {} })), "to must be"),
            (emit(json!({ "event": "e", "data": 1, "args": [], "to": { "user": "u" } })), "one of data and args"),
            (emit(json!({ "event": "e", "dat": 1, "to": { "user": "u" } })), "unknown field"),
        ] {
            let reason = bad(&answer);
            assert!(reason.contains(part), "{answer}: {reason}");
        }
        for (status, body) in [(200, "OK"), (200, "{"), (302, "{}"), (101, ""), (200, "\u{feff}{}"), (200, "1e999")] {
            assert!(matches!(read(status, body.as_bytes(), TERMS), Reading::Bad(_)), "{status} {body}");
        }
        assert!(matches!(read(200, b"\xff", TERMS), Reading::Bad(_)));
    }

    #[test]
    fn a_refusal_has_a_code_and_a_short_message() {
        let reject = |status, body: &str| match read(status, body.as_bytes(), TERMS) {
            Reading::Reject { code, message } => (code, message),
            other => panic!("{other:?}"),
        };
        let pair = |code: &str, message: &str| (code.to_owned(), message.to_owned());
        assert_eq!(
            reject(422, r#"{"code":"out_of_stock","message":"None left","x":1}"#),
            pair("out_of_stock", "None left")
        );
        assert_eq!(reject(400, r#"{"code":"a"}"#), pair("a", "The request was rejected"));
        let long = format!(r#"{{"code":"a","message":"{}"}}"#, "é".repeat(300));
        assert_eq!(reject(400, &long).1, "é".repeat(256));
        for none in
            ["", "[]", "Not Found", r#"{"message":"x"}"#, r#"{"code":7}"#, r#"{"code":"A"}"#, r#"{"code":"a b"}"#]
        {
            assert_eq!(reject(404, none), pair("rejected", "The request was rejected"), "{none}");
        }
        for status in [500, 503, 599] {
            assert_eq!(read(status, b"{}", TERMS), Reading::Unavailable);
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(status in 100u16..1000, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(status, &body, TERMS);
        }

        #[test]
        fn answers_that_are_almost_right_are_read_without_panic(
            field in "ack|emit|join|leave|disconnect|other",
            inner in "[\\[\\]{}\":,a-z0-9$]{0,40}",
        ) {
            let _ = read(200, format!("{{\"{field}\":{inner}}}").as_bytes(), TERMS);
        }
    }
}
