//! Bodies of the fuzz targets in `gateway/engine/fuzz` that are about this crate: each takes any bytes and panics if a
//! promise is broken.
//!
//! Compiled for cargo-fuzz, and for the test that runs them over the corpora in that folder.

use bytes::Bytes;

use crate::{
    log::Position,
    redis::frames::Frames,
    wire::{BusMessage, envelope},
};

/// A target's name, which is also its corpus' folder, and its body.
type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 3] = [("bus_message", bus_message), ("position", position), ("subscription", subscription)];

/// A message from the bus, in its envelope. It is the same after it was sent on.
pub fn bus_message(data: &[u8]) {
    let (_, message) = envelope::open(Bytes::copy_from_slice(data));
    let Some(message) = BusMessage::decode(&message) else { return };
    assert_eq!(BusMessage::decode(&message.encode()), Some(message));
}

/// A position in a room's log, as clients and the bus send it. It is the same after it was written and read again.
pub fn position(data: &[u8]) {
    let Ok(Ok(position)) = std::str::from_utf8(data).map(str::parse::<Position>) else { return };
    assert_eq!(position.to_string().parse(), Ok(position));
    assert_eq!(position.to_string(), String::from_utf8_lossy(data).to_lowercase());
}

/// Bytes from Redis on a connection for subscriptions. They are the same frames in one piece and in two.
pub fn subscription(data: &[u8]) {
    let whole = frames(&[data]);
    let (first, second) = data.split_at(data.len() / 2);
    assert_eq!(frames(&[first, second]), whole);
}

/// The frames in these pieces, and whether the connection goes on.
fn frames(pieces: &[&[u8]]) -> (Vec<String>, bool) {
    let mut frames = Frames::default();
    let mut found = Vec::new();
    for piece in pieces {
        frames.buffer().extend_from_slice(piece);
        loop {
            match frames.next() {
                Ok(Some(frame)) => found.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn the_corpora_break_no_promise() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/fuzz/corpus").join(name);
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
