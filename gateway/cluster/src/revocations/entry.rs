//! The entries of the list, and their encoding: JSON, which the scripts in Redis pass on unread.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Tokens of one user that are judged otherwise than their own claims say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The user.
    pub user: Arc<str>,
    /// The tokens, and the judgement.
    pub about: About,
    /// For the client and the logs.
    pub reason: Arc<str>,
    /// Unix second at which the last of the tokens has expired.
    pub until: u64,
}

/// See [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum About {
    /// The user's tokens issued up to this Unix second are revoked.
    Tokens {
        /// Inclusive.
        issued_until: u64,
    },
    /// All tokens of one login of the user are revoked.
    Login {
        /// Its id.
        id: Arc<str>,
    },
    /// One token of the user is revoked.
    Token {
        /// Its id.
        id: Arc<str>,
    },
    /// Whether the user is active: if not, all tokens are refused.
    Active {
        /// See there.
        is_active: bool,
    },
    /// The user's tokens issued up to this Unix second have these roles, whatever they say.
    Roles {
        /// Inclusive.
        issued_until: u64,
        /// The roles.
        roles: Arc<[Box<str>]>,
    },
}

impl Entry {
    /// Its subject, unique among all users.
    #[must_use]
    pub fn subject(&self) -> String {
        let Self { user, .. } = self;
        match &self.about {
            About::Tokens { .. } => format!("tokens {user}"),
            About::Login { id } => format!("login {} {user}{id}", user.len()),
            About::Token { id } => format!("token {} {user}{id}", user.len()),
            About::Active { .. } => format!("active {user}"),
            About::Roles { .. } => format!("roles {user}"),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        // Texts and numbers only: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None` for an entry of a later version.
    pub(crate) fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}
