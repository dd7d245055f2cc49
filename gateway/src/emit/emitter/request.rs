//! A request of an emitter: JSON of `{type, opts: {rooms, except}, rooms?, close?}`. Requests that servers of Socket.IO send
//! to each other have the same form and other types: they are ignored.

use std::sync::Arc;

use jackfield_cluster::{
    room_name::RoomName,
    wire::{Command, End, Selector, Target},
};
use serde::Deserialize;

use super::malformed::Malformed;

/// Joins rooms, leaves rooms, ends.
const JOIN: u64 = 2;
const LEAVE: u64 = 3;
const DISCONNECT: u64 = 4;
/// Most rooms to join or leave.
const MAX_ROOMS: usize = 1_000;
/// Most rooms, users and sockets that a request names.
const MAX_NAMES: usize = 10_000;
/// The reason that clients get.
const REASON: &str = "disconnected by a backend";

/// A request.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) selector: Selector,
    pub(super) command: Command,
}

#[derive(Deserialize)]
struct Raw {
    r#type: u64,
    #[serde(default)]
    opts: Options,
    #[serde(default)]
    rooms: Vec<Arc<str>>,
    #[serde(default)]
    close: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    rooms: Vec<String>,
    except: Vec<String>,
}

/// Only the type, because the rest of other requests may be anything.
#[derive(Deserialize)]
struct Kind {
    r#type: u64,
}

impl Request {
    /// `None` if it is not for sockets.
    pub(super) fn parse(json: &[u8]) -> Result<Option<Self>, Malformed> {
        let Kind { r#type } = serde_json::from_slice(json).map_err(|_| Malformed("no JSON of a request"))?;
        if ![JOIN, LEAVE, DISCONNECT].contains(&r#type) {
            return Ok(None);
        }
        let Raw { r#type, opts, rooms, close } =
            serde_json::from_slice(json).map_err(|_| Malformed("no JSON of a request for sockets"))?;
        if opts.rooms.len() + opts.except.len() > MAX_NAMES || rooms.len() > MAX_ROOMS {
            return Err(Malformed("too many rooms"));
        }
        let command = match r#type {
            JOIN if rooms.iter().all(|room| is_room(room)) => Command { join: rooms, ..Command::default() },
            JOIN => return Err(Malformed("a wrong room's name")),
            LEAVE => Command { leave: rooms, ..Command::default() },
            _ => {
                let end = End { reason: REASON.into(), session: close };
                Command { end: Some(end), ..Command::default() }
            }
        };
        let any = opts.rooms.iter().map(|name| Target::receiver(name)).collect();
        let except = opts.except.iter().flat_map(|name| Target::excepted(name)).collect();
        Ok(Some(Self { selector: Selector { any, except }, command }))
    }
}

/// Whether a room may have this name, in any namespace.
fn is_room(name: &str) -> bool {
    RoomName::parse(&"/".into(), name).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parse(request: &Value) -> Result<Option<Request>, Malformed> {
        Request::parse(request.to_string().as_bytes())
    }

    #[test]
    fn requests_are_read() {
        let opts = json!({ "rooms": ["r", "user:u"], "except": [] });
        let join = parse(&json!({ "type": 2, "opts": opts, "rooms": ["a", "b"] })).unwrap().unwrap();
        assert_eq!(join.command.join, ["a", "b"].map(Arc::from));
        assert_eq!(join.selector.any, [Target::Room("r".into()), Target::User("u".into())]);
        let leave = parse(&json!({ "type": 3, "opts": { "rooms": [], "except": ["x"] }, "rooms": ["a"] })).unwrap();
        assert_eq!(leave.unwrap().selector.except, [Target::Room("x".into())]);
        for close in [true, false] {
            let end = parse(&json!({ "type": 4, "opts": { "rooms": [], "except": [] }, "close": close })).unwrap();
            assert_eq!(end.unwrap().command.end.unwrap().session, close);
        }
        for other in [json!({ "type": 6, "uid": "emitter", "data": ["hello"] }), json!({ "type": 0, "rooms": "x" })] {
            assert_eq!(parse(&other), Ok(None));
        }
    }

    #[test]
    fn wrong_requests_are_refused() {
        for wrong in [
            json!([]),
            json!({}),
            json!({ "type": "2" }),
            json!({ "type": 2, "rooms": "r" }),
            json!({ "type": 2, "rooms": ["a b"] }),
            json!({ "type": 2, "rooms": ["user:u"] }),
            json!({ "type": 2, "rooms": vec!["r"; 1_001] }),
            json!({ "type": 4, "opts": { "rooms": vec!["r"; 10_001] } }),
        ] {
            assert!(parse(&wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_without_panic(bytes: Vec<u8>) {
            let _ = Request::parse(&bytes);
        }
    }
}
