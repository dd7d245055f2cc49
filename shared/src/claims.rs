//! The content of a token, as the auth service writes it and as gateways read it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Roles of our own users, written alike in tokens, bodies and the database. A foreign issuer's roles are kept as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// May administer users.
    Admin,
    /// May administer users.
    Superuser,
    /// The role of a newly registered user.
    User,
}

/// The claims the auth service signs. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// The user's id.
    pub sub: String,
    /// The user's address.
    pub email: String,
    /// The user's full name.
    pub name: String,
    /// The user's roles.
    pub roles: Vec<Role>,
    /// The login that the token belongs to.
    pub sid: String,
    /// The token's id.
    pub jti: String,
    /// Issued at.
    pub iat: u64,
    /// Not before.
    pub nbf: u64,
    /// Expires at.
    pub exp: u64,
}

/// The user that a verified token identifies. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// 1 to 128 characters.
    pub user_id: Arc<str>,
    /// Shown to others; the email address, or else the id, if the token has no name.
    pub name: Arc<str>,
    /// The user's email address, if the token has one.
    pub email: Option<Arc<str>>,
    /// Roles as the token writes them.
    pub roles: Arc<[Box<str>]>,
    /// Unix seconds.
    pub expires_at: u64,
}
