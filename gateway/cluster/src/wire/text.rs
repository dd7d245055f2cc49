//! Pieces of the encodings.

use bytes::Bytes;

use crate::ids::SessionId;

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
