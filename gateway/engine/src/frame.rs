//! One Socket.IO packet for clients, encoded once for all recipients: its text, and the binary parts that follow it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::{Parts, oxide};

/// See the module. Cloning shares the bytes.
#[derive(Clone)]
pub struct Frame(Arc<Encoded>);

struct Encoded {
    /// UTF-8.
    text: Bytes,
    parts: Option<Parts>,
    /// The text as the library takes it, made for the first of its sockets.
    for_oxide: oxide::Shared,
}

/// `"name",data` in JSON: an event's content, as [`Frame::event_content`] takes it. `None` if `data` cannot be JSON.
#[must_use]
pub fn event_content<T: Serialize + ?Sized>(name: &str, data: &T) -> Option<String> {
    let [name, data] = [serde_json::to_string(name), serde_json::to_string(data)].map(Result::ok);
    Some(format!("{},{}", name?, data?))
}

impl Frame {
    /// An event with one argument. `None` if `data` cannot be JSON.
    #[must_use]
    pub fn event<T: Serialize + ?Sized>(namespace: &str, name: &str, data: &T) -> Option<Self> {
        Some(Self::event_content(namespace, &event_content(name, data)?))
    }

    /// As [`Frame::event`], with arguments that are JSON already: one value, or several with commas between them. The
    /// name must need no escapes in JSON.
    #[must_use]
    pub fn event_json(namespace: &str, name: &str, arguments: &str) -> Self {
        Self::from_text(format!("2{}[\"{name}\",{arguments}]", namespace_prefix(namespace)))
    }

    /// An event whose name and arguments are JSON already, with commas between them.
    #[must_use]
    pub fn event_content(namespace: &str, content: &str) -> Self {
        Self::from_text(format!("2{}[{content}]", namespace_prefix(namespace)))
    }

    /// As [`Frame::event_content`], with the binary parts that placeholders in the content name.
    #[must_use]
    pub fn event_with(namespace: &str, content: &str, parts: Option<Parts>) -> Self {
        let Some(parts) = parts else { return Self::event_content(namespace, content) };
        let text = format!("5{}-{}[{content}]", parts.count(), namespace_prefix(namespace));
        Self::new(text.into(), Some(parts))
    }

    /// The acknowledgement of an event whose sender asked for one. `None` if `data` cannot be JSON.
    #[must_use]
    pub fn ack<T: Serialize + ?Sized>(namespace: &str, id: i64, data: &T) -> Option<Self> {
        Some(Self::ack_json(namespace, id, &serde_json::to_string(data).ok()?))
    }

    /// As [`Frame::ack`], with data that is JSON already.
    #[must_use]
    pub fn ack_json(namespace: &str, id: i64, data: &str) -> Self {
        Self::from_text(format!("3{}{id}[{data}]", namespace_prefix(namespace)))
    }

    /// An acknowledgement whose arguments are JSON already, with commas between them, and their binary parts.
    #[must_use]
    pub fn ack_with(namespace: &str, id: i64, arguments: &str, parts: Option<Parts>) -> Self {
        let Some(parts) = parts else { return Self::ack_json(namespace, id, arguments) };
        let text = format!("6{}-{}{id}[{arguments}]", parts.count(), namespace_prefix(namespace));
        Self::new(text.into(), Some(parts))
    }

    /// The client is in the namespace, under this public id.
    #[must_use]
    pub fn connect(namespace: &str, socket_id: &str) -> Self {
        Self::from_text(format!("0{}{}", namespace_prefix(namespace), json!({ "sid": socket_id })))
    }

    /// Refuses the client the namespace for good; `code` is the error's message there.
    #[must_use]
    pub fn connect_error(namespace: &str, code: &str) -> Self {
        Self::from_text(format!("4{}{}", namespace_prefix(namespace), json!({ "message": code })))
    }

    /// Takes the client out of the namespace for good: a stock client does not reconnect by itself.
    #[must_use]
    pub fn disconnect(namespace: &str) -> Self {
        Self::from_text(format!("1{}", namespace_prefix(namespace)))
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &Bytes {
        &self.0.text
    }

    /// The binary parts after it.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        self.0.parts.as_ref()
    }

    /// Bytes that it takes in a queue.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.text.len() + self.parts().map_or(0, Parts::bytes)
    }

    /// The frame, encoded for the bus.
    #[must_use]
    pub fn to_bus(&self) -> Bytes {
        Parts::encode(&self.0.text, self.parts())
    }

    /// Decodes a frame from the bus; `None` if it is malformed.
    #[must_use]
    pub fn from_bus(bytes: Bytes) -> Option<Self> {
        let (text, parts) = Parts::decode(bytes)?;
        Some(Self::new(text, parts))
    }

    pub(crate) fn for_oxide(&self) -> &oxide::Shared {
        &self.0.for_oxide
    }

    fn from_text(text: String) -> Self {
        Self::new(text.into(), None)
    }

    fn new(text: Bytes, parts: Option<Parts>) -> Self {
        Self(Arc::new(Encoded { text, parts, for_oxide: oxide::Shared::default() }))
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        (self.text(), self.parts()) == (other.text(), other.parts())
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Frame").field(self.text()).field(&self.parts()).finish()
    }
}

/// The namespace as a packet names it: empty for the main one.
fn namespace_prefix(namespace: &str) -> String {
    if namespace == "/" { String::new() } else { format!("{namespace},") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(frame: Option<Frame>) -> String {
        String::from_utf8(frame.unwrap().text().to_vec()).unwrap()
    }

    #[test]
    fn frames_are_what_the_protocol_says() {
        assert_eq!(text(Frame::event("/", "hello", &json!({"a": 1}))), r#"2["hello",{"a":1}]"#);
        for namespace in ["/", "/chat"] {
            assert_eq!(Frame::event(namespace, "e", &"x"), Some(Frame::event_json(namespace, "e", "\"x\"")));
            assert_eq!(Frame::ack(namespace, 7, &vec![1]), Some(Frame::ack_json(namespace, 7, "[1]")));
        }
        assert_eq!(text(Some(Frame::event_json("/chat", "two", "\"a\",[1]"))), r#"2/chat,["two","a",[1]]"#);
        assert_eq!(text(Frame::event("/", "li\"st", &vec!["a", "b"])), r#"2["li\"st",["a","b"]]"#);
        assert_eq!(text(Frame::ack("/chat", 7, &json!({"status": "ok"}))), r#"3/chat,7[{"status":"ok"}]"#);
        assert_eq!(text(Some(Frame::connect("/chat", "x"))), r#"0/chat,{"sid":"x"}"#);
        assert_eq!(text(Some(Frame::connect_error("/", "invalid_token"))), r#"4{"message":"invalid_token"}"#);
        assert_eq!(text(Some(Frame::disconnect("/chat"))), "1/chat,");
        assert_eq!(text(Some(Frame::disconnect("/"))), "1");
    }

    #[test]
    fn binary_parts_are_counted_in_the_text_and_survive_the_bus() {
        let parts = Parts::new(vec![Bytes::from_static(b"\x00\xff"), Bytes::from_static(b"")]);
        let content = r#""e",{"_placeholder":true,"num":0}"#;
        let frame = Frame::event_with("/chat", content, parts.clone());
        assert_eq!(text(Some(frame.clone())), format!("52-/chat,[{content}]"));
        assert_eq!(Frame::from_bus(frame.to_bus()), Some(frame));
        assert_eq!(text(Some(Frame::ack_with("/", 7, "1,2", parts))), "62-7[1,2]");
        assert_eq!(text(Some(Frame::ack_with("/", 7, "1,2", None))), "37[1,2]");
        let plain = Frame::event_with("/", "\"e\"", None);
        assert_eq!(Frame::from_bus(plain.to_bus()), Some(plain));
        assert_eq!(Frame::from_bus(Bytes::from_static(b"\xff\x00")), None);
        assert_eq!(Frame::from_bus(Bytes::from_static(b"2[\"\xc3\"]")), None, "not UTF-8");
    }
}
