//! The limits on a user's id. The verifier refuses tokens with longer ids, so no user has one.

/// Most characters of a user's id.
pub(crate) const MAX_USER_ID: usize = 128;

/// Whether a user may have this id.
pub(crate) fn is_user_id(id: &str) -> bool {
    (1..=MAX_USER_ID).contains(&id.chars().count())
}
