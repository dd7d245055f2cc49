//! The packets that a client receives, decoded from the frames of the protocol.

use bytes::Bytes;
use jackfield_engine::{Frame, Parts};
use serde_json::Value;

/// A packet from the server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packet {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    /// [`Client::next`](super::Client::next) has returned it.
    pub(super) taken: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Connect(Value),
    ConnectError(String),
    Disconnect,
    /// The id, if the server asks for an acknowledgement.
    Event {
        name: String,
        data: Vec<Value>,
        id: Option<i64>,
    },
    Ack {
        id: i64,
        data: Vec<Value>,
    },
}

impl Packet {
    pub(super) fn parse(frame: &Frame) -> Self {
        let text = std::str::from_utf8(frame.text()).unwrap();
        let (kind, mut rest) = text.split_at(1);
        let parts = frame.parts().map_or(&[][..], Parts::all);
        if !parts.is_empty() {
            let count;
            (count, rest) = rest.split_once('-').unwrap();
            assert_eq!(count, parts.len().to_string());
        }
        let mut namespace = "/";
        if rest.starts_with('/') {
            (namespace, rest) = rest.split_once(',').unwrap();
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (id, json) = rest.split_at(digits);
        let json = || -> Value { serde_json::from_str(json).unwrap_or_else(|error| panic!("{text}: {error}")) };
        let list = || match readable(json(), parts) {
            Value::Array(items) => items,
            other => panic!("{other}"),
        };
        let kind = match kind {
            "0" => Kind::Connect(json()),
            "1" => Kind::Disconnect,
            "2" | "5" => {
                let mut data = list();
                let name = data.remove(0).as_str().unwrap().to_owned();
                Kind::Event { name, data, id: id.parse().ok() }
            }
            "3" | "6" => Kind::Ack { id: id.parse().unwrap(), data: list() },
            "4" => Kind::ConnectError(json()["message"].as_str().unwrap().to_owned()),
            other => panic!("a packet of type {other}"),
        };
        Self { kind, namespace: namespace.to_owned(), taken: false }
    }
}

/// The value with `<hex>` in place of each binary part.
fn readable(value: Value, parts: &[Bytes]) -> Value {
    match value {
        Value::Object(fields) if !parts.is_empty() && fields.contains_key("_placeholder") => {
            let part = &parts[usize::try_from(fields["num"].as_u64().unwrap()).unwrap()];
            hex(part).into()
        }
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, readable(value, parts))).collect(),
        Value::Array(items) => items.into_iter().map(|item| readable(item, parts)).collect(),
        other => other,
    }
}

/// A binary part as a test sees it.
pub fn hex(part: &[u8]) -> String {
    let digits: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("<{digits}>")
}
