//! Centrifugo's bidirectional JSON protocol: a room is a channel, and joining it is a subscription.
//!
//! It numbers commands from 1 on: signing in is 1, subscribing 2, and the first message 3.

use super::{Packet, append, leading_number};

/// The difference between the ids on the wire and those of [`super`].
const OFFSET: u64 = 2;

/// Signs in.
pub fn connect(text: &mut Vec<u8>, token: &str) {
    append(text, format_args!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#));
}

/// Subscribes to a channel.
pub fn join(text: &mut Vec<u8>, room: usize) {
    append(text, format_args!(r#"{{"id":{},"subscribe":{{"channel":"room-{room}"}}}}"#, super::JOIN + OFFSET));
}

/// Publishes into a channel.
pub fn publish(text: &mut Vec<u8>, id: u64, room: usize, content: impl FnOnce(&mut Vec<u8>)) {
    let id = id + OFFSET;
    append(text, format_args!(r#"{{"id":{id},"publish":{{"channel":"room-{room}","data":{{"content":""#));
    content(text);
    text.extend_from_slice(br#""}}}"#);
}

/// Understands one packet: a reply, a push, or a ping, which is an empty object.
pub fn parse(packet: &[u8]) -> Packet<'_> {
    if packet == b"{}" {
        return Packet::Ping;
    }
    if let Some(push) = packet.strip_prefix(br#"{"push":{"#) {
        return match push {
            _ if memchr::memmem::find(push, br#""pub":{"#).is_some() => Packet::Message(push),
            _ if memchr::memmem::find(push, br#""disconnect":{"#).is_some() => Packet::Refused(packet),
            _ => Packet::Other,
        };
    }
    let Some((id, body)) = packet.strip_prefix(br#"{"id":"#).and_then(leading_number) else { return Packet::Other };
    let done = !body.starts_with(br#","error":"#);
    match (id.checked_sub(OFFSET), done) {
        (None, true) => Packet::Connected,
        (None, false) => Packet::Refused(packet),
        (Some(id), _) => Packet::Ack { id, done, body },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_the_server_sends() {
        let refused = br#"{"id":1,"error":{"code":109,"message":"token expired"}}"#;
        let push = br#"{"push":{"channel":"room-1","pub":{"data":{"content":"hi"}}}}"#;
        let cases: [(&[u8], Packet<'_>); 7] = [
            (b"{}", Packet::Ping),
            (br#"{"id":1,"connect":{"client":"c","ping":25,"pong":true}}"#, Packet::Connected),
            (refused, Packet::Refused(refused)),
            (br#"{"id":2,"subscribe":{}}"#, Packet::Ack { id: 0, done: true, body: br#","subscribe":{}}"# }),
            (
                br#"{"id":3,"error":{"code":103}}"#,
                Packet::Ack { id: 1, done: false, body: br#","error":{"code":103}}"# },
            ),
            (push, Packet::Message(&push[9..])),
            (br#"{"push":{"channel":"room-1","join":{}}}"#, Packet::Other),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn commands_are_json_with_ids_of_their_own() {
        let mut text = Vec::new();
        publish(&mut text, super::super::FIRST_MESSAGE, 4, |text| text.extend_from_slice(b"hi"));
        let command: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let expected = serde_json::json!({ "id": 3, "publish": { "channel": "room-4", "data": { "content": "hi" } } });
        assert_eq!(command, expected);
    }
}
