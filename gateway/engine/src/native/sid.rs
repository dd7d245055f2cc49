//! Ids of connections, which their requests carry while they poll.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// An id: 20 characters. Its random bits are all that protects a polling session.
pub(super) type Sid = Box<str>;

/// Bytes of an id, all of them random.
const RANDOM: usize = 15;
/// Characters of an id, each of which holds 6 bits.
const LENGTH: usize = RANDOM / 3 * 4;

/// Whether this could be an id of a connection that has ended, or no longer polls.
pub(super) fn is_sid(sid: &str) -> bool {
    sid.len() == LENGTH
}

/// A new id.
pub(super) fn new_sid() -> Sid {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; RANDOM]>()).into()
}
