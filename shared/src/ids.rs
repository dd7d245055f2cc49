//! Ids of our users, logins and notifications: UUID v7, so that they sort by age.

use uuid::Uuid;

/// A new UUID v7 in its hyphenated form, 36 characters.
#[must_use]
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}
