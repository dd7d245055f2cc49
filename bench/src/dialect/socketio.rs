//! Socket.IO 5 over Engine.IO 4, in the namespace `/chat`, with the events `join-room`, `send-message`, `new-message` and
//! `echo`.

use memchr::memmem::find;

use super::{Packet, append, leading_number};

/// Signs in.
pub fn connect(text: &mut Vec<u8>, token: &str) {
    append(text, format_args!(r#"40/chat,{{"token":"{token}"}}"#));
}

/// Joins a room.
pub fn join(text: &mut Vec<u8>, room: usize) {
    append(text, format_args!(r#"42/chat,{}["join-room",{{"room":"room-{room}"}}]"#, super::JOIN));
}

/// Sends a message to a room.
pub fn publish(text: &mut Vec<u8>, id: u64, room: usize, content: impl FnOnce(&mut Vec<u8>)) {
    append(text, format_args!(r#"42/chat,{id}["send-message",{{"room":"room-{room}","content":""#));
    content(text);
    text.extend_from_slice(br#""}]"#);
}

/// Asks for the same text back, in an acknowledgement.
pub fn echo(text: &mut Vec<u8>, id: u64, content: impl FnOnce(&mut Vec<u8>)) {
    append(text, format_args!(r#"42/chat,{id}["echo",{{"text":""#));
    content(text);
    text.extend_from_slice(br#""}]"#);
}

/// Understands one packet.
pub fn parse(packet: &[u8]) -> Packet<'_> {
    match packet {
        b"2" => Packet::Ping,
        [b'0', ..] => Packet::Open,
        [b'4', kind, rest @ ..] => message(*kind, rest, packet),
        [b'1', ..] => Packet::Refused(packet),
        _ => Packet::Other,
    }
}

fn message<'a>(kind: u8, rest: &'a [u8], packet: &'a [u8]) -> Packet<'a> {
    let Some(body) = rest.strip_prefix(b"/chat,") else { return Packet::Other };
    match kind {
        b'0' => Packet::Connected,
        b'1' | b'4' => Packet::Refused(packet),
        b'2' if body.starts_with(br#"["new-message","#) => Packet::Message(body),
        b'3' => leading_number(body).map_or(Packet::Other, |(id, body)| {
            // A status is at the start of an acknowledgement, and an echoed text is not searched.
            let start = &body[..body.len().min(40)];
            Packet::Ack { id, done: find(start, br#""status":"error""#).is_none(), body }
        }),
        _ => Packet::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_servers_send() {
        let ack = |id, done, body| Packet::Ack { id, done, body };
        let cases: [(&[u8], Packet<'_>); 9] = [
            (br#"0{"sid":"a"}"#, Packet::Open),
            (b"2", Packet::Ping),
            (br#"40/chat,{"sid":"b"}"#, Packet::Connected),
            (br#"44/chat,{"message":"no"}"#, Packet::Refused(br#"44/chat,{"message":"no"}"#)),
            (br#"43/chat,17[{"status":"ok"}]"#, ack(17, true, br#"[{"status":"ok"}]"#)),
            (br#"43/chat,0[{"status":"error","code":"x"}]"#, ack(0, false, br#"[{"status":"error","code":"x"}]"#)),
            (br#"42/chat,["new-message",{}]"#, Packet::Message(br#"["new-message",{}]"#)),
            (br#"42/chat,["user-joined",{}]"#, Packet::Other),
            (br#"42["new-message",{}]"#, Packet::Other),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn says_what_servers_understand() {
        let said = |say: &dyn Fn(&mut Vec<u8>)| {
            let mut text = Vec::new();
            say(&mut text);
            String::from_utf8(text).unwrap()
        };
        let content = |text: &mut Vec<u8>| text.extend_from_slice(b"hi");
        assert_eq!(said(&|text| connect(text, "t")), r#"40/chat,{"token":"t"}"#);
        assert_eq!(said(&|text| join(text, 3)), r#"42/chat,0["join-room",{"room":"room-3"}]"#);
        assert_eq!(
            said(&|text| publish(text, 7, 3, content)),
            r#"42/chat,7["send-message",{"room":"room-3","content":"hi"}]"#
        );
        assert_eq!(said(&|text| echo(text, 8, content)), r#"42/chat,8["echo",{"text":"hi"}]"#);
    }
}
