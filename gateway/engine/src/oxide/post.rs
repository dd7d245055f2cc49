//! Reads the body of a polling client's POST before the library does.
//!
//! Guarantees: a body is bounded in length and in time, see [`body::read`]; one per session is read at a time; until a namespace
//! admits it, a client may send at most what its [`Wire::allowance`] permits. The base64 variants in which clients write binary
//! parts (line ends, no padding, the alphabet for URLs) are converted to the one that the library reads.

use std::borrow::Cow;

use axum::{body::Body, http::Request};
use bytes::Bytes;
use engineioxide::{DisconnectReason, Socket};

use super::{socket_data::SocketData, wire::Wire};
use crate::{body, failure::Failure};

/// Separates two packets of a payload.
const SEPARATOR: u8 = 0x1e;
/// First byte of a packet that is a binary part.
const BINARY: u8 = b'b';

/// Reads the body of a session's POST, of at most `max` bytes. A failure ends the session, as the protocol requires.
pub(super) async fn read(
    request: Request<Body>,
    socket: &Socket<SocketData>,
    wire: &std::sync::Arc<Wire>,
    max: usize,
) -> Result<Bytes, Failure> {
    let body = read_whole(request, socket, wire, max).await;
    if body.is_err() {
        socket.close(DisconnectReason::PacketParsingError);
    }
    body
}

async fn read_whole(
    request: Request<Body>,
    socket: &Socket<SocketData>,
    wire: &std::sync::Arc<Wire>,
    max: usize,
) -> Result<Bytes, Failure> {
    let _claim = wire.begin_post().ok_or(Failure::BadRequest)?;
    let max = wire.allowance.may_still_read(max);
    let body = body::read(request, max, socket.closed()).await?;
    match wire.allowance.may_read(body.len()) {
        true => Ok(plain(body)),
        false => Err(Failure::TooLarge),
    }
}

/// The payload with its binary parts in standard base64.
fn plain(body: Bytes) -> Bytes {
    if !body.split(|byte| *byte == SEPARATOR).any(|packet| packet.first() == Some(&BINARY)) {
        return body;
    }
    let packets: Vec<_> = body.split(|byte| *byte == SEPARATOR).map(plain_packet).collect();
    packets.join(&SEPARATOR).into()
}

fn plain_packet(packet: &[u8]) -> Cow<'_, [u8]> {
    let Some((&BINARY, base64)) = packet.split_first() else { return Cow::Borrowed(packet) };
    let mut plain = Vec::with_capacity(packet.len() + 3);
    plain.push(BINARY);
    plain.extend(base64.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=').map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    }));
    // Pad to groups of four, without the letter in front.
    while (plain.len() - 1) % 4 != 0 {
        plain.push(b'=');
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{
        Engine as _,
        engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_variant_of_base64_becomes_the_standard_one(part: Vec<u8>) {
            let expected = format!("b{}", STANDARD.encode(&part));
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                for end in ["", "\n", "\r\n"] {
                    let sent = format!("451-[\"b\",1]\u{1e}b{}{end}\u{1e}3", engine.encode(&part));
                    let read = plain(sent.into());
                    prop_assert_eq!(read, Bytes::from(format!("451-[\"b\",1]\u{1e}{expected}\u{1e}3")));
                }
            }
        }

        #[test]
        fn text_is_not_changed(text in "[0-6][^\u{1e}]{0,40}") {
            prop_assert_eq!(plain(text.clone().into()), Bytes::from(text));
        }
    }
}
