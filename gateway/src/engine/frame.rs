//! One Socket.IO packet, encoded once for all recipients: its text, and the binary parts that follow it.

use bytes::Bytes;
use engineioxide_core::Str;
use serde::Serialize;
use socketioxide_core::{
    Value,
    packet::Packet,
    parser::{Parse as _, ParserError},
};
use socketioxide_parser_common::CommonParser;

use super::Parts;

/// See the module. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    text: Str,
    parts: Option<Parts>,
}

impl Frame {
    /// An event with one argument, or with several if `data` is a tuple. `None` if `data` cannot be JSON.
    #[must_use]
    pub fn event<T: Serialize + ?Sized>(namespace: &str, name: &str, data: &T) -> Option<Self> {
        encoded(CommonParser.encode_value(data, Some(name)), |value| Packet::event(namespace.to_owned(), value))
    }

    /// As [`Frame::event`], with arguments that are JSON already: one value, or several with commas between them.
    #[must_use]
    pub fn event_json(namespace: &str, name: &str, arguments: &str) -> Self {
        Self::event_content(namespace, &format!("\"{name}\",{arguments}"))
    }

    /// An event whose name and arguments are JSON already, with commas between them.
    #[must_use]
    pub fn event_content(namespace: &str, content: &str) -> Self {
        Self::from_text(format!("2{}[{content}]", before_data(namespace)))
    }

    /// As [`Frame::event_content`], with the binary parts that placeholders in the content name.
    #[must_use]
    pub fn event_with(namespace: &str, content: &str, parts: Option<Parts>) -> Self {
        let Some(parts) = parts else { return Self::event_content(namespace, content) };
        let text = format!("5{}-{}[{content}]", parts.count(), before_data(namespace));
        Self { text: text.into(), parts: Some(parts) }
    }

    /// An acknowledgement whose arguments are JSON already, with commas between them, and their binary parts.
    #[must_use]
    pub fn ack_with(namespace: &str, id: i64, arguments: &str, parts: Option<Parts>) -> Self {
        let Some(parts) = parts else { return Self::ack_json(namespace, id, arguments) };
        let text = format!("6{}-{}{id}[{arguments}]", parts.count(), before_data(namespace));
        Self { text: text.into(), parts: Some(parts) }
    }

    /// As [`Frame::ack`], with data that is JSON already.
    #[must_use]
    pub fn ack_json(namespace: &str, id: i64, data: &str) -> Self {
        Self::from_text(format!("3{}{id}[{data}]", before_data(namespace)))
    }

    /// The acknowledgement of an event whose sender asked for one.
    #[must_use]
    pub fn ack<T: Serialize + ?Sized>(namespace: &str, id: i64, data: &T) -> Option<Self> {
        encoded(CommonParser.encode_value(data, None), |value| Packet::ack(namespace.to_owned(), value, id))
    }

    /// The client is in the namespace, under this public id.
    #[must_use]
    pub fn connect(namespace: &str, socket_id: &str) -> Self {
        #[derive(Serialize)]
        struct Connected<'a> {
            sid: &'a str,
        }
        let value = CommonParser.encode_default(&Connected { sid: socket_id }).ok();
        text(CommonParser.encode(Packet::connect(namespace.to_owned(), value)))
    }

    /// Refuses the client the namespace for good; `code` is the error's message there.
    #[must_use]
    pub fn connect_error(namespace: &str, code: &str) -> Self {
        text(CommonParser.encode(Packet::connect_error(namespace.to_owned(), code)))
    }

    /// Takes the client out of the namespace for good: a stock client does not reconnect by itself.
    #[must_use]
    pub fn disconnect(namespace: &str) -> Self {
        text(CommonParser.encode(Packet::disconnect(namespace.to_owned())))
    }

    fn from_text(text: String) -> Self {
        Self { text: text.into(), parts: None }
    }

    pub(super) fn text(&self) -> Str {
        self.text.clone()
    }

    pub(super) fn parts(&self) -> Option<&Parts> {
        self.parts.as_ref()
    }

    /// Bytes that it takes in a queue.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + self.parts.as_ref().map_or(0, Parts::bytes)
    }

    /// Its text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The frame, encoded for the bus.
    #[must_use]
    pub fn to_bus(&self) -> Bytes {
        Parts::encode(self.text.as_str(), self.parts.as_ref())
    }

    /// Decodes a frame from the bus; `None` if it is malformed.
    #[must_use]
    pub fn from_bus(bytes: Bytes) -> Option<Self> {
        let (text, parts) = Parts::decode(bytes)?;
        Some(Self { text: text.into(), parts })
    }
}

fn encoded(value: Result<Value, ParserError>, packet: impl FnOnce(Value) -> Packet) -> Option<Frame> {
    value.ok().map(|value| text(CommonParser.encode(packet(value))))
}

/// The namespace as a packet names it: empty for the main one.
fn before_data(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

/// Serialized values hold no binary parts.
fn text(value: Value) -> Frame {
    match value {
        Value::Str(text, _) => Frame { text, parts: None },
        Value::Bytes(_) => Frame::from_text(String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_are_what_the_protocol_says() {
        let text = |frame: Option<Frame>| String::from_utf8(frame.unwrap().as_bytes().to_vec()).unwrap();
        assert_eq!(text(Frame::event("/", "hello", &json!({"a": 1}))), r#"2["hello",{"a":1}]"#);
        for namespace in ["/", "/chat"] {
            assert_eq!(Frame::event(namespace, "e", &(1, "x")), Some(Frame::event_json(namespace, "e", "1,\"x\"")));
            assert_eq!(Frame::ack(namespace, 7, &vec![1]), Some(Frame::ack_json(namespace, 7, "[1]")));
        }
        assert_eq!(text(Frame::event("/chat", "two", &("a", [1]))), r#"2/chat,["two","a",[1]]"#);
        assert_eq!(text(Frame::event("/", "list", &vec!["a", "b"])), r#"2["list",["a","b"]]"#);
        assert_eq!(text(Frame::ack("/chat", 7, &json!({"status": "ok"}))), r#"3/chat,7[{"status":"ok"}]"#);
        assert_eq!(text(Some(Frame::connect("/chat", "x"))), r#"0/chat,{"sid":"x"}"#);
        assert_eq!(text(Some(Frame::connect_error("/", "invalid_token"))), r#"4{"message":"invalid_token"}"#);
        assert_eq!(text(Some(Frame::disconnect("/chat"))), "1/chat,");
    }

    #[test]
    fn binary_parts_are_counted_in_the_text_and_survive_the_bus() {
        let parts = Parts::new(vec![Bytes::from_static(b"\x00\xff"), Bytes::from_static(b"")]);
        let content = r#""e",{"_placeholder":true,"num":0}"#;
        let frame = Frame::event_with("/chat", content, parts.clone());
        assert_eq!(frame.as_bytes(), format!("52-/chat,[{content}]").as_bytes());
        assert_eq!(Frame::from_bus(frame.to_bus()), Some(frame));
        assert_eq!(Frame::ack_with("/", 7, "1,2", parts).as_bytes(), b"62-7[1,2]");
        assert_eq!(Frame::ack_with("/", 7, "1,2", None).as_bytes(), b"37[1,2]");
        let text = Frame::event_with("/", "\"e\"", None);
        assert_eq!(Frame::from_bus(text.to_bus()), Some(text));
        assert_eq!(Frame::from_bus(Bytes::from_static(b"\xff\x00")), None);
    }
}
