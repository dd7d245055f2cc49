//! The token of a connection's handshake, which counts for every namespace whose CONNECT carries none.
//!
//! Keeps its text, several hundred bytes, only until it was verified, and then the identity in it. So a key that the
//! issuer withdraws later does not invalidate the token for this connection.

use std::sync::Arc;

use jackfield_shared::claims::Identity;

/// See the module.
#[derive(Clone)]
pub(super) enum HandshakeToken {
    /// Not verified yet.
    Text(Box<str>),
    /// The identity in it, which holds until [`Identity::expires_at`].
    Verified(Arc<Identity>),
}
