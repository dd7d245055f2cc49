//! Frames that break the rules of WebSocket end the connection with a code.

use jackfield_engine::{CloseReason, EngineKind, EngineLimits};

use crate::{
    differences::Difference,
    harness::{
        BINARY, CLOSE, CONTINUATION, Call, FIN, Message, PING, Server, TEXT, close_frame, for_each_engine, frame,
        limits, with_length,
    },
};

for_each_engine!(
    a_broken_rule_ends_the_connection,
    an_invalid_close_code_ends_the_connection,
    a_length_in_more_bytes_than_needed_ends_the_connection,
    text_that_is_not_utf8_ends_the_connection,
    a_message_that_is_too_long_ends_the_connection,
    nothing_after_a_broken_rule_is_received,
);

const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;
const TOO_LONG: u16 = 1009;

const RESERVED_BITS: [u8; 3] = [0x40, 0x20, 0x10];
/// An event that is received before the rule is broken.
const EVENT: &str = "42[\"before\"]";

/// Sends an event and then `bytes`: the connection ends with `code`, and nothing but the event was received.
async fn ends(server: &Server, bytes: &[u8], code: u16, what: &str) {
    println!("{what}");
    let (mut client, session) = server.connected().await;
    client.send(&[&frame(FIN | TEXT, EVENT), bytes].concat()).await;
    let rest = client.rest().await;
    let (expected, reason) = match server.differs(Difference::NoCloseCodes) {
        true => (Message::Close(None), CloseReason::TransportError),
        false => (Message::Close(Some(code)), CloseReason::ProtocolError),
    };
    assert_eq!(rest, [expected], "{what}");
    assert_eq!(session.event().await, "[\"before\"]", "{what}");
    assert_eq!(session.next().await, Call::Closed(reason), "{what}");
}

/// An unmasked frame with a short payload.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

async fn a_broken_rule_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    ends(&server, &unmasked(FIN | TEXT, b"42[\"a\"]"), PROTOCOL_ERROR, "not masked").await;
    ends(&server, &unmasked(FIN | PING, b""), PROTOCOL_ERROR, "a control frame that is not masked").await;
    for bit in RESERVED_BITS {
        ends(&server, &frame(FIN | bit | TEXT, "42[\"a\"]"), PROTOCOL_ERROR, &format!("reserved bit {bit}")).await;
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        ends(&server, &frame(FIN | opcode, ""), PROTOCOL_ERROR, &format!("reserved opcode {opcode}")).await;
    }
    ends(&server, &frame(FIN | PING, [0; 126]), PROTOCOL_ERROR, "a long control frame").await;
    ends(&server, &frame(PING, b"p"), PROTOCOL_ERROR, "a fragmented control frame").await;
    ends(&server, &frame(FIN | CONTINUATION, "x"), PROTOCOL_ERROR, "a continuation of nothing").await;
    let restarted = [frame(TEXT, "42[\"a"), frame(FIN | TEXT, "42[\"b\"]")].concat();
    ends(&server, &restarted, PROTOCOL_ERROR, "a message within a message").await;
    ends(&server, &frame(FIN | CLOSE, [3]), PROTOCOL_ERROR, "a Close with half a code").await;
    let endless = [&[FIN | TEXT, 0x80 | 127][..], &u64::MAX.to_be_bytes(), &[0; 4]].concat();
    ends(&server, &endless, PROTOCOL_ERROR, "a length with its highest bit set").await;
}

async fn an_invalid_close_code_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for code in [0, 999, 1004, 1005, 1006, 1015, 2000, 5000] {
        let (mut client, session) = server.connected().await;
        client.send(&close_frame(code, "")).await;
        assert_eq!(client.rest().await, [Message::Close(Some(PROTOCOL_ERROR))], "{code}");
        let reason = match server.differs(Difference::InvalidCloseIsAClose) {
            true => CloseReason::ClientClosed,
            false => CloseReason::ProtocolError,
        };
        assert_eq!(session.next().await, Call::Closed(reason), "{code}");
    }
}

async fn a_length_in_more_bytes_than_needed_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for form in [126, 127] {
        let mut length = with_length(form, 5);
        length[0] |= 0x80;
        let bytes = [&[FIN | TEXT][..], &length, &[0; 4], b"42[1]"].concat();
        if server.differs(Difference::LongFormsOfLengths) {
            let (mut client, session) = server.connected().await;
            client.send(&bytes).await;
            assert_eq!(session.event().await, "[1]");
        } else {
            ends(&server, &bytes, PROTOCOL_ERROR, &format!("a short length in the form {form}")).await;
        }
    }
}

async fn text_that_is_not_utf8_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    for bytes in [&b"42[\"\xff\"]"[..], b"42[\"\xc3", b"42[\"\xed\xa0\x80\"]", b"42[\"\xc0\x80\"]"] {
        ends(&server, &frame(FIN | TEXT, bytes), NOT_UTF8, &format!("{bytes:?}")).await;
        let (start, end) = bytes.split_at(bytes.len() - 2);
        let fragments = [frame(TEXT, start), frame(FIN | CONTINUATION, end)].concat();
        ends(&server, &fragments, NOT_UTF8, &format!("{bytes:?} in two fragments")).await;
    }
    ends(&server, &close_frame(1000, b"\xff"), NOT_UTF8, "a Close whose reason is not UTF-8").await;
}

async fn a_message_that_is_too_long_ends_the_connection(kind: EngineKind) {
    let server = Server::start(kind, EngineLimits { max_message: 1_000, ..limits() }).await;
    let (mut client, session) = server.connected().await;
    client.text(&format!("42[\"{}\"]", "x".repeat(994))).await;
    assert_eq!(session.event().await.len(), 998);
    for opcode in [TEXT, BINARY] {
        ends(&server, &frame(FIN | opcode, [b'4'; 1_001]), TOO_LONG, "one frame").await;
        let fragments = [frame(opcode, [b'4'; 600]), frame(CONTINUATION, [b'4'; 401])].concat();
        ends(&server, &fragments, TOO_LONG, "two fragments").await;
    }
    // Refused when it is announced, not when it has arrived.
    let announced = [&[FIN | TEXT, 0x80 | 127][..], &(1_u64 << 40).to_be_bytes(), &[0; 4], b"4"].concat();
    ends(&server, &announced, TOO_LONG, "announced").await;
}

async fn nothing_after_a_broken_rule_is_received(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let after = [frame(FIN | CONTINUATION, ""), frame(FIN | TEXT, "42[\"after\"]")].concat();
    ends(&server, &after, PROTOCOL_ERROR, "an event after a broken rule").await;
}
