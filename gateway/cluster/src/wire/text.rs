//! Pieces of the encodings.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::ids::SessionId;

/// Ends a JSON head. JSON escapes it within strings.
const END: u8 = b'\n';

/// A kind and what follows it.
pub(super) fn tagged(kind: u8, parts: &[&[u8]]) -> Bytes {
    let mut out = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    out.push(kind);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.into()
}

/// The word that begins at `start`, and the index after the space that ends it.
pub(super) fn split(bytes: &Bytes, start: usize) -> Option<(&str, usize)> {
    let length = bytes.get(start..)?.iter().position(|byte| *byte == b' ')?;
    Some((std::str::from_utf8(&bytes[start..start + length]).ok()?, start + length + 1))
}

/// Sessions, separated by commas.
pub(super) fn listed(sessions: &[SessionId]) -> String {
    sessions.iter().map(SessionId::as_str).collect::<Vec<_>>().join(",")
}

/// The reverse of [`listed`].
pub(super) fn sessions(listed: &str) -> Vec<SessionId> {
    listed.split(',').map(SessionId::from).collect()
}

/// A kind, a head in JSON, and what follows it.
pub(super) fn headed<T: Serialize + ?Sized>(kind: u8, head: &T, rest: &[u8]) -> Bytes {
    tagged(kind, &[&serde_json::to_vec(head).unwrap_or_default(), &[END], rest])
}

/// The reverse of [`headed`], without the kind.
pub(super) fn split_head<T: DeserializeOwned>(bytes: &Bytes) -> Option<(T, Bytes)> {
    let length = bytes.get(1..)?.iter().position(|byte| *byte == END)?;
    let head = serde_json::from_slice(&bytes[1..=length]).ok()?;
    Some((head, bytes.slice(length + 2..)))
}
