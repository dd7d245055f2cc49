//! One Socket.IO packet, encoded once for everybody who gets it.

use engineioxide_core::Str;
use serde::Serialize;
use socketioxide_core::{
    Value,
    packet::Packet,
    parser::{Parse as _, ParserError},
};
use socketioxide_parser_common::CommonParser;

/// See the module. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame(Str);

impl Frame {
    /// An event with one argument, or with several where `data` is a tuple. Nothing where `data` cannot be JSON.
    #[must_use]
    pub fn event<T: Serialize + ?Sized>(namespace: &str, name: &str, data: &T) -> Option<Self> {
        encoded(CommonParser.encode_value(data, Some(name)), |value| Packet::event(namespace.to_owned(), value))
    }

    /// As [`Frame::event`], where the arguments are JSON already: one value, or several with commas between them.
    #[must_use]
    pub fn event_json(namespace: &str, name: &str, arguments: &str) -> Self {
        Self::event_content(namespace, &format!("\"{name}\",{arguments}"))
    }

    /// An event whose name and arguments are JSON already, with commas between them.
    #[must_use]
    pub fn event_content(namespace: &str, content: &str) -> Self {
        Self::from_text(format!("2{}[{content}]", before_data(namespace)))
    }

    /// As [`Frame::ack`], where the data is JSON already.
    #[must_use]
    pub fn ack_json(namespace: &str, id: i64, data: &str) -> Self {
        Self::from_text(format!("3{}{id}[{data}]", before_data(namespace)))
    }

    /// The answer to an event that asked for one.
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

    /// The client may not be in the namespace, and is not to try again; `code` is the error's message there.
    #[must_use]
    pub fn connect_error(namespace: &str, code: &str) -> Self {
        text(CommonParser.encode(Packet::connect_error(namespace.to_owned(), code)))
    }

    /// The client is out of the namespace, and is not to come back by itself.
    #[must_use]
    pub fn disconnect(namespace: &str) -> Self {
        text(CommonParser.encode(Packet::disconnect(namespace.to_owned())))
    }

    pub(super) fn from_text(text: String) -> Self {
        Self(text.into())
    }

    pub(super) fn text(&self) -> Str {
        self.0.clone()
    }

    /// As it goes over the bus.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn encoded(value: Result<Value, ParserError>, packet: impl FnOnce(Value) -> Packet) -> Option<Frame> {
    value.ok().map(|value| text(CommonParser.encode(packet(value))))
}

/// How a packet names its namespace: the main one not at all.
fn before_data(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

/// JSON holds no binary parts, so there is nothing beside the text.
fn text(value: Value) -> Frame {
    match value {
        Value::Str(text, _) => Frame(text),
        Value::Bytes(_) => Frame(Str::from("")),
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
}
