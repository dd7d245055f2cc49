//! Bodies of the fuzz targets in `gateway/engine/fuzz`: each takes any bytes and panics if a promise is broken.
//!
//! Compiled for cargo-fuzz, and for the test that runs them over the corpora in that folder.

mod messages;
mod packets;

use axum::http::Request;
use bytes::Bytes;

pub use self::{
    messages::{frames, messages},
    packets::packets,
};
use crate::{
    Frame, Handshake,
    native::{Packet, append_payload, decode_payload},
    websocket,
};

/// A target's name, which is also its corpus' folder, and its body.
type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("bus", bus),
    ("frames", frames),
    ("messages", messages),
    ("packets", packets),
    ("payload", payload),
    ("request", request),
];

/// The body of a POST. Valid packets are the same after they were written and read again.
pub fn payload(body: &[u8]) {
    let packets: Option<Vec<_>> = decode_payload(body).collect();
    let Some(packets) = packets else { return };
    let mut again = Vec::new();
    for (number, packet) in packets.iter().enumerate() {
        if number > 0 {
            again.push(0x1e);
        }
        match packet {
            Packet::Text(text) => again.extend_from_slice(text.as_bytes()),
            Packet::Binary(part) => {
                let mut binary = Vec::new();
                append_payload(&mut binary, &Frame::raw_binary(&Bytes::copy_from_slice(part)));
                again.extend(binary);
            }
        }
    }
    assert!(again.len() <= body.len() + 3 * packets.len(), "read more than was sent");
    assert!(decode_payload(&again).eq(packets.into_iter().map(Some)));
}

/// A handshake: a line with the query, then lines with headers, `name: value`.
pub fn request(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let query = lines.next().and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let mut request = Request::get(format!("/socket.io/?{query}"));
    for line in lines {
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
        }
    }
    // HTTP refuses the rest.
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let handshake = Handshake::parse(&parts);
    assert!(handshake.sid.is_none() || handshake.token.is_none(), "only a new session has a token");
    assert!(handshake.token.is_none_or(|token| !token.is_empty() && token.len() <= data.len()));
    if websocket::handshake::check(&parts.headers).is_ok() {
        assert!(parts.headers.contains_key("sec-websocket-key"));
    }
}

/// A frame from the bus. It is the same after it was sent on.
pub fn bus(data: &[u8]) {
    let Some(frame) = Frame::from_bus(Bytes::copy_from_slice(data)) else { return };
    assert!(frame.bytes() <= data.len());
    assert_eq!(Frame::from_bus(frame.to_bus()), Some(frame.clone()));
    let mut payload = Vec::new();
    append_payload(&mut payload, &frame);
    let parts = frame.parts().map_or(0, |parts| parts.count());
    // A separator in a text splits it; JSON has none.
    if !frame.text().contains(&0x1e) {
        assert_eq!(decode_payload(&payload).flatten().count(), 1 + parts);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_corpora_break_no_promise() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
            let inputs = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            let mut count = 0;
            for input in inputs {
                let path = input.unwrap().path();
                let data = fs::read(&path).unwrap();
                let result = std::panic::catch_unwind(|| target(&data));
                assert!(result.is_ok(), "{}", path.display());
                count += 1;
            }
            assert!(count >= 5, "{count} inputs in {}", folder.display());
        }
    }
}
