//! Text packets of Engine.IO 4 with Socket.IO 5 in them, of the namespace `/` only; they are read without copying.

use serde::{Deserialize, Serialize};
use serde_json::{Value, error::Result, json, value::RawValue};

/// A packet from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The handshake, as JSON: see [`Handshake`].
    Open(&'a str),
    /// A ping; the answer is [`PONG`].
    Ping,
    /// The server closes the transport.
    Close,
    /// CONNECT, its payload as JSON: the client is in the namespace.
    Connect(&'a str),
    /// CONNECT_ERROR, its payload as JSON.
    ConnectError(&'a str),
    /// DISCONNECT.
    Disconnect,
    /// EVENT: its name, and its whole array (the name is the first element).
    Event(&'a str, &'a str),
    /// ACK: its number, and its array.
    Ack(u32, &'a str),
    /// A packet of another namespace, a binary one, or an unknown one.
    Other,
}

/// The answer to a ping.
pub const PONG: &str = "3";

/// Heartbeat settings in the server's handshake.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake {
    /// Milliseconds.
    pub ping_interval: u64,
    /// Milliseconds.
    pub ping_timeout: u64,
}

impl<'a> Packet<'a> {
    /// Parses a packet.
    pub fn read(text: &'a str) -> Self {
        let Some(kind) = text.as_bytes().first() else { return Self::Other };
        // A first byte that is part of a longer character matches none of these.
        match kind {
            b'0' => Self::Open(&text[1..]),
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'4' => Self::message(&text[1..]).unwrap_or(Self::Other),
            _ => Self::Other,
        }
    }

    fn message(text: &'a str) -> Option<Self> {
        let kind = text.as_bytes().first().filter(|byte| byte.is_ascii_digit())?;
        // The name of another namespace begins with a slash.
        let rest = text.get(1..).filter(|rest| !rest.starts_with('/'))?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, data) = rest.split_at(digits);
        match kind {
            b'0' => Some(Self::Connect(data)),
            b'1' => Some(Self::Disconnect),
            b'2' => {
                // Our event names have no escapes; a name that has one is not ours.
                let (name, _) = data.strip_prefix("[\"")?.split_once('"')?;
                Some(Self::Event(name, data))
            }
            b'3' => Some(Self::Ack(number.parse().ok()?, data)),
            b'4' => Some(Self::ConnectError(data)),
            _ => None,
        }
    }
}

/// The knowledge with which a client comes back to be recovered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Back {
    /// The `pid` of its last CONNECT.
    pub pid: Option<String>,
    /// The last argument of the last event that it handled, if that is a text.
    pub offset: Option<String>,
}

/// Writes CONNECT with the token; with `back`, the client asks for recovery.
pub fn connect(token: &str, back: Option<&Back>) -> String {
    let mut auth = json!({ "token": token });
    if let Some(Back { pid, offset }) = back {
        auth["recover"] = true.into();
        if let (Some(pid), Some(offset)) = (pid, offset) {
            (auth["pid"], auth["offset"]) = (json!(pid), json!(offset));
        }
    }
    format!("40{auth}")
}

/// The `pid` in the payload of a CONNECT.
pub fn pid(data: &str) -> Option<String> {
    Some(serde_json::from_str::<Value>(data).ok()?["pid"].as_str()?.to_owned())
}

/// The last element of an event's array, if that is a text.
pub fn offset(data: &str) -> Option<String> {
    // Most events end with an object: their array is not parsed for this.
    let all: Vec<&RawValue> = data.ends_with("\"]").then(|| serde_json::from_str(data).ok())??;
    serde_json::from_str(all.last()?.get()).ok()
}

/// Writes an event that asks for an ack with that number.
pub fn event(name: &str, payload: &impl Serialize, ack: u32) -> Result<String> {
    Ok(format!("42{ack}{}", serde_json::to_string(&(name, payload))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read() {
        let read = Packet::read;
        assert_eq!(read("0{\"sid\":\"x\"}"), Packet::Open("{\"sid\":\"x\"}"));
        assert_eq!(read("2"), Packet::Ping);
        assert_eq!(read("1"), Packet::Close);
        assert_eq!(read("40{\"sid\":\"x\"}"), Packet::Connect("{\"sid\":\"x\"}"));
        assert_eq!(read("44{\"message\":\"no\"}"), Packet::ConnectError("{\"message\":\"no\"}"));
        assert_eq!(read("41"), Packet::Disconnect);
        assert_eq!(read("42[\"a\",{\"b\":1}]"), Packet::Event("a", "[\"a\",{\"b\":1}]"));
        assert_eq!(read("4217[\"a\"]"), Packet::Event("a", "[\"a\"]"));
        assert_eq!(read("4317[{\"status\":\"ok\"}]"), Packet::Ack(17, "[{\"status\":\"ok\"}]"));
        for other in
            ["", "4", "42", "42[]", "43[]", "451-[\"a\"]", "6", "é", "4é", "40/chat,{}", "42/chat,[\"a\"]", "41/chat"]
        {
            assert_eq!(read(other), Packet::Other, "{other}");
        }
    }

    #[test]
    fn packets_are_written() {
        assert_eq!(connect("t", None), "40{\"token\":\"t\"}");
        let mut back = Back::default();
        assert_eq!(connect("t", Some(&back)), r#"40{"recover":true,"token":"t"}"#);
        back.pid = pid(r#"{"sid":"s","pid":"p"}"#);
        back.offset = offset(r#"["e",{"a":"]"},"r1.x"]"#);
        assert_eq!(connect("t", Some(&back)), r#"40{"offset":"r1.x","pid":"p","recover":true,"token":"t"}"#);
        assert_eq!((pid("{}"), offset(r#"["e",{"a":"b"}]"#)), (None, None));
        let payload = json!({"room": "r", "content": "\"quoted\""});
        let event = event("send-message", &payload, 4).unwrap();
        assert_eq!(event, r#"424["send-message",{"content":"\"quoted\"","room":"r"}]"#);
    }
}
