//! One Socket.IO packet for clients, encoded once for all recipients: its text, and the binary parts that follow it.
//!
//! Encoded as a WebSocket sends it, with each message's header in front, so that a socket's writer copies nothing.

use std::{fmt, io::Write as _, ops::Range, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::{Parts, oxide, websocket::encode};

/// See the module. Cloning shares the bytes.
#[derive(Clone)]
pub struct Frame(Arc<Encoded>);

struct Encoded {
    /// Unused bytes, then WebSocket frames: the text, then each part.
    buffer: Vec<u8>,
    /// The position at which the frames begin.
    begin: usize,
    /// The Engine.IO packet in the first of them: its type, then the text in UTF-8. Empty without a text.
    packet: Range<usize>,
    parts: Option<Parts>,
    /// The text in the library's type, converted for the first socket.
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

    /// Like [`Frame::event`], with arguments that are already JSON: one value, or several with commas between them. The
    /// name must need no escapes in JSON.
    #[must_use]
    pub fn event_json(namespace: &str, name: &str, arguments: impl fmt::Display) -> Self {
        Self::message(format_args!("2{}[\"{name}\",{arguments}]", Prefix(namespace)), None)
    }

    /// An event whose name and arguments are already JSON, with commas between them.
    #[must_use]
    pub fn event_content(namespace: &str, content: &str) -> Self {
        Self::message(format_args!("2{}[{content}]", Prefix(namespace)), None)
    }

    /// Like [`Frame::event_content`], with the binary parts that placeholders in the content refer to.
    #[must_use]
    pub fn event_with(namespace: &str, content: &str, parts: Option<&Parts>) -> Self {
        let Some(parts) = parts else { return Self::event_content(namespace, content) };
        Self::message(format_args!("5{}-{}[{content}]", parts.count(), Prefix(namespace)), Some(parts))
    }

    /// Like [`Frame::event_with`], an event that asks the client for an acknowledgement with this id.
    #[must_use]
    pub fn event_asking(namespace: &str, id: i64, content: &str, parts: Option<&Parts>) -> Self {
        let Some(parts) = parts else {
            return Self::message(format_args!("2{}{id}[{content}]", Prefix(namespace)), None);
        };
        Self::message(format_args!("5{}-{}{id}[{content}]", parts.count(), Prefix(namespace)), Some(parts))
    }

    /// The acknowledgement of an event whose sender asked for one. `None` if `data` cannot be JSON.
    #[must_use]
    pub fn ack<T: Serialize + ?Sized>(namespace: &str, id: i64, data: &T) -> Option<Self> {
        Some(Self::ack_json(namespace, id, &serde_json::to_string(data).ok()?))
    }

    /// Like [`Frame::ack`], with data that is already JSON.
    #[must_use]
    pub fn ack_json(namespace: &str, id: i64, data: &str) -> Self {
        Self::message(format_args!("3{}{id}[{data}]", Prefix(namespace)), None)
    }

    /// An acknowledgement with arguments that are already JSON, with commas between them, and their binary parts.
    #[must_use]
    pub fn ack_with(namespace: &str, id: i64, arguments: &str, parts: Option<&Parts>) -> Self {
        let Some(parts) = parts else { return Self::ack_json(namespace, id, arguments) };
        Self::message(format_args!("6{}-{}{id}[{arguments}]", parts.count(), Prefix(namespace)), Some(parts))
    }

    /// This event with one more argument at its end, which is already JSON in UTF-8.
    #[must_use]
    pub fn with_argument(&self, argument: &[u8]) -> Self {
        // An event ends with a bracket.
        let event = self.packet().strip_suffix(b"]").unwrap_or_default();
        let mut buffer = Vec::with_capacity(encode::LONGEST_HEAD + event.len() + argument.len() + 2);
        buffer.extend_from_slice(&[0; encode::LONGEST_HEAD]);
        buffer.extend_from_slice(event);
        buffer.push(b',');
        buffer.extend_from_slice(argument);
        buffer.push(b']');
        Self::finish(buffer, self.parts())
    }

    /// Tells the client that it has joined the namespace, under this public socket id. A client that gets the `pid`
    /// that it sent was recovered.
    #[must_use]
    pub fn connect(namespace: &str, socket_id: &str, pid: Option<&str>) -> Self {
        let data = match pid {
            Some(pid) => json!({ "sid": socket_id, "pid": pid }),
            None => json!({ "sid": socket_id }),
        };
        Self::message(format_args!("0{}{data}", Prefix(namespace)), None)
    }

    /// Refuses the client's CONNECT to the namespace permanently; `code` is the message of the client's error.
    #[must_use]
    pub fn connect_error(namespace: &str, code: &str) -> Self {
        Self::message(format_args!("4{}{}", Prefix(namespace), json!({ "message": code })), None)
    }

    /// Disconnects the client from the namespace permanently: a stock client does not reconnect by itself.
    #[must_use]
    pub fn disconnect(namespace: &str) -> Self {
        Self::message(format_args!("1{}", Prefix(namespace)), None)
    }

    /// The packet's text, UTF-8.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        self.packet().get(1..).unwrap_or_default()
    }

    /// The binary parts after the text.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        self.0.parts.as_ref()
    }

    /// Bytes of text and parts, without headers: what it counts in a queue.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text().len() + self.parts().map_or(0, Parts::bytes)
    }

    /// The frame, encoded for the bus.
    #[must_use]
    pub fn to_bus(&self) -> Bytes {
        Parts::encode(Bytes::copy_from_slice(self.text()), self.parts())
    }

    /// Decodes a frame from the bus; `None` if it is malformed.
    #[must_use]
    pub fn from_bus(bytes: Bytes) -> Option<Self> {
        let (text, parts) = Parts::decode(bytes)?;
        let text = std::str::from_utf8(&text).ok()?;
        Some(Self::message(format_args!("{text}"), parts.as_ref()))
    }

    /// A message of Engine.IO that need not be a packet of Socket.IO.
    #[must_use]
    pub fn raw_text(text: &str) -> Self {
        Self::message(format_args!("{text}"), None)
    }

    /// A binary message of Engine.IO.
    #[must_use]
    pub fn raw_binary(part: &Bytes) -> Self {
        Self::only(encode::BINARY, part, Some(Parts::one(part.clone())))
    }

    /// An Engine.IO packet that is not a message.
    pub(crate) fn engine_packet(packet: &str) -> Self {
        Self::encode(format_args!("{packet}"), None)
    }

    /// A control frame of WebSocket; polling clients have none.
    pub(crate) fn websocket_control(opcode: u8, payload: &[u8]) -> Self {
        Self::only(opcode, payload, None)
    }

    /// The answer to a WebSocket's handshake, which goes in front of its first frame.
    pub(crate) fn http_answer(text: String) -> Self {
        Self::without_text(text.into_bytes(), None)
    }

    /// A frame without a text.
    fn only(opcode: u8, payload: &[u8], parts: Option<Parts>) -> Self {
        let mut buffer = Vec::with_capacity(encode::LONGEST_HEAD + payload.len());
        encode::append(&mut buffer, opcode, payload);
        Self::without_text(buffer, parts)
    }

    fn without_text(buffer: Vec<u8>, parts: Option<Parts>) -> Self {
        Self(Arc::new(Encoded { buffer, begin: 0, packet: 0..0, parts, for_oxide: oxide::Shared::default() }))
    }

    /// The WebSocket frames.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.0.buffer[self.0.begin..]
    }

    /// The Engine.IO packet of the text: its type, then the text. Empty for a frame without a text.
    pub(crate) fn packet(&self) -> &[u8] {
        &self.0.buffer[self.0.packet.clone()]
    }

    pub(crate) fn for_oxide(&self) -> &oxide::Shared {
        &self.0.for_oxide
    }

    fn message(text: fmt::Arguments<'_>, parts: Option<&Parts>) -> Self {
        Self::encode(format_args!("{MESSAGE}{text}"), parts)
    }

    fn encode(packet: fmt::Arguments<'_>, parts: Option<&Parts>) -> Self {
        let mut buffer = Vec::with_capacity(USUAL);
        buffer.extend_from_slice(&[0; encode::LONGEST_HEAD]);
        // Writing to a vector does not fail.
        let _ = buffer.write_fmt(packet);
        Self::finish(buffer, parts)
    }

    /// The frame of the packet that is in the buffer after the room for a header.
    fn finish(mut buffer: Vec<u8>, parts: Option<&Parts>) -> Self {
        let packet = encode::LONGEST_HEAD..buffer.len();
        let begin = encode::put_head(&mut buffer, encode::TEXT);
        for part in parts.iter().flat_map(|parts| parts.all()) {
            encode::append(&mut buffer, encode::BINARY, part);
        }
        let parts = parts.cloned();
        Self(Arc::new(Encoded { buffer, begin, packet, parts, for_oxide: oxide::Shared::default() }))
    }
}

/// Bytes that most frames need, allocated at once.
const USUAL: usize = 256;

/// The Engine.IO type of a message.
const MESSAGE: char = '4';

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.wire() == other.wire()
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Frame").field(&String::from_utf8_lossy(self.text())).field(&self.parts()).finish()
    }
}

/// The namespace at the beginning of a packet: empty for the main one.
struct Prefix<'a>(&'a str);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == "/" { Ok(()) } else { write!(f, "{},", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(frame: Option<Frame>) -> String {
        String::from_utf8(frame.unwrap().text().to_vec()).unwrap()
    }

    #[test]
    fn frames_follow_the_protocol() {
        assert_eq!(text(Frame::event("/", "hello", &json!({"a": 1}))), r#"2["hello",{"a":1}]"#);
        for namespace in ["/", "/chat"] {
            assert_eq!(Frame::event(namespace, "e", &"x"), Some(Frame::event_json(namespace, "e", "\"x\"")));
            assert_eq!(Frame::ack(namespace, 7, &vec![1]), Some(Frame::ack_json(namespace, 7, "[1]")));
        }
        assert_eq!(text(Some(Frame::event_json("/chat", "two", "\"a\",[1]"))), r#"2/chat,["two","a",[1]]"#);
        assert_eq!(text(Frame::event("/", "li\"st", &vec!["a", "b"])), r#"2["li\"st",["a","b"]]"#);
        assert_eq!(text(Frame::ack("/chat", 7, &json!({"status": "ok"}))), r#"3/chat,7[{"status":"ok"}]"#);
        assert_eq!(text(Some(Frame::connect("/chat", "x", None))), r#"0/chat,{"sid":"x"}"#);
        assert_eq!(text(Some(Frame::connect("/", "x", Some("p")))), r#"0{"pid":"p","sid":"x"}"#);
        assert_eq!(text(Some(Frame::connect_error("/", "invalid_token"))), r#"4{"message":"invalid_token"}"#);
        assert_eq!(text(Some(Frame::disconnect("/chat"))), "1/chat,");
        assert_eq!(text(Some(Frame::disconnect("/"))), "1");
    }

    #[test]
    fn binary_parts_are_counted_in_the_text_and_survive_the_bus() {
        let parts = Parts::new(vec![Bytes::from_static(b"\x00\xff"), Bytes::from_static(b"")]);
        let content = r#""e",{"_placeholder":true,"num":0}"#;
        let frame = Frame::event_with("/chat", content, parts.as_ref());
        assert_eq!(text(Some(frame.clone())), format!("52-/chat,[{content}]"));
        assert_eq!(frame.parts(), parts.as_ref());
        assert_eq!(Frame::from_bus(frame.to_bus()), Some(frame.clone()));
        assert_eq!(text(Some(Frame::ack_with("/", 7, "1,2", parts.as_ref()))), "62-7[1,2]");
        assert_eq!(text(Some(Frame::ack_with("/", 7, "1,2", None))), "37[1,2]");
        assert_eq!(text(Some(Frame::event_asking("/chat", 7, "\"e\"", None))), "2/chat,7[\"e\"]");
        assert_eq!(text(Some(Frame::event_asking("/", 7, "\"e\"", parts.as_ref()))), "52-7[\"e\"]");
        let more = frame.with_argument(b"\"o\"");
        assert_eq!(text(Some(more.clone())), format!("52-/chat,[{content},\"o\"]"));
        assert_eq!(more.parts(), parts.as_ref());
        let plain = Frame::event_with("/", "\"e\"", None);
        assert_eq!(Frame::from_bus(plain.to_bus()), Some(plain));
        assert_eq!(Frame::from_bus(Bytes::from_static(b"\xff\x00")), None);
        assert_eq!(Frame::from_bus(Bytes::from_static(b"2[\"\xc3\"]")), None, "not UTF-8");
    }

    #[test]
    fn the_wire_form_has_the_header_of_each_message() {
        let parts = Parts::new(vec![Bytes::from(vec![7; 300])]);
        let wire = Frame::event_with("/", "\"e\"", parts.as_ref()).wire().to_vec();
        assert_eq!(&wire[..11], b"\x81\x09451-[\"e\"]");
        assert_eq!(wire[11..15], [0x82, 126, 1, 44]);
        assert_eq!(wire.len(), 15 + 300);
        assert_eq!(Frame::engine_packet("2").wire(), b"\x81\x012");
        assert_eq!(Frame::websocket_control(8, &[3, 232]).wire(), b"\x88\x02\x03\xe8");
        for (length, head) in [(124, 2), (125, 4), (65_534, 4), (65_535, 10)] {
            let frame = Frame::engine_packet(&format!("4{}", "x".repeat(length)));
            assert_eq!((frame.wire().len(), frame.text().len()), (head + 1 + length, length));
        }
    }
}
