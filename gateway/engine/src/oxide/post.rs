//! The body of a polling client's POST, read before the library sees it.
//!
//! Guarantees: a body that is too long is refused as soon as that is known; a body that does not arrive within
//! [`BODY_WITHIN`], or whose session ends, is abandoned; a session sends one body at a time; until a namespace admits
//! it, a client sends at most [`Wire::may_still_read`]. Binary parts in the base64 variants that clients write (line
//! ends, no padding, the URL's alphabet) are converted to the one that the library reads.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    http::{Request, header::CONTENT_LENGTH},
};
use bytes::Bytes;
use engineioxide::{DisconnectReason, Socket};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{failure::Failure, socket_data::SocketData, wire::Wire};

/// How long a body may take.
const BODY_WITHIN: Duration = Duration::from_secs(30);
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
    let max = wire.may_still_read(max);
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Failure::TooLarge);
    }
    let reading = tokio::time::timeout(BODY_WITHIN, Limited::new(request.into_body(), max).collect());
    let body = tokio::select! {
        read = reading => read.map_err(|_| Failure::TooLate)?,
        () = socket.closed() => return Err(Failure::UnknownSession),
    };
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Failure::TooLarge,
        None => Failure::BadRequest,
    })?;
    let body = body.to_bytes();
    match wire.may_read(body.len()) {
        true => Ok(plain(body)),
        false => Err(Failure::TooLarge),
    }
}

/// The payload with its binary parts in plain base64.
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
    // Pad to whole groups of four, not counting the letter in front.
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
        fn every_variant_of_base64_becomes_the_plain_one(part: Vec<u8>) {
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
        fn text_passes_as_it_is(text in "[0-6][^\u{1e}]{0,40}") {
            prop_assert_eq!(plain(text.clone().into()), Bytes::from(text));
        }
    }
}
