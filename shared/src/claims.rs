//! The content of a token, as the auth service writes it and as gateways read it.

use std::{fmt, num::NonZeroU64, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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

impl Role {
    /// As tokens write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Superuser => "SUPERUSER",
            Self::User => "USER",
        }
    }
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
    /// By which revocations find the token.
    pub marks: Marks,
}

/// The claims of a token by which it can be revoked, besides its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// `iat`, in Unix seconds; 0 if the token has none.
    pub issued_at: u64,
    /// The login that the token belongs to (`sid`).
    pub login: Option<Mark>,
    /// The token itself (`jti`).
    pub token: Option<Mark>,
}

/// A user and the id of a login or token, in 16 bytes: the beginning of a SHA-256. Written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(NonZeroU64, u64);

impl Mark {
    /// The mark of this user's login or token.
    #[must_use]
    pub fn of(user: &str, id: &str) -> Self {
        // The user's length keeps `a` + `bc` apart from `ab` + `c`.
        let digest: [u8; 32] = Sha256::digest(format!("{} {user}{id}", user.len())).into();
        let [first, second] =
            [&digest[..8], &digest[8..16]].map(|half| half.iter().fold(0, |n, b| n << 8 | u64::from(*b)));
        Self(NonZeroU64::new(first).unwrap_or(NonZeroU64::MAX), second)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

impl FromStr for Mark {
    type Err = NotMarks;

    fn from_str(text: &str) -> Result<Self, NotMarks> {
        let (first, second) = text.split_at_checked(16).ok_or(NotMarks)?;
        let [first, second] = [first, second].map(|half| u64::from_str_radix(half, 16));
        match (second, first.ok().and_then(NonZeroU64::new)) {
            (Ok(second), Some(first)) if text.len() == 32 => Ok(Self(first, second)),
            _ => Err(NotMarks),
        }
    }
}

/// The text is not what [`Marks`] or a [`Mark`] are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the marks of a token")]
pub struct NotMarks;

/// The time, and the two marks or `-` for none, with spaces between them.
impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.issued_at)?;
        for mark in [self.login, self.token] {
            match mark {
                Some(mark) => write!(f, " {mark}")?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Marks {
    type Err = NotMarks;

    fn from_str(text: &str) -> Result<Self, NotMarks> {
        let mark = |text: &str| if text == "-" { Ok(None) } else { text.parse().map(Some) };
        match text.split(' ').collect::<Vec<_>>().as_slice() {
            [issued_at, login, token] => {
                let issued_at = issued_at.parse().map_err(|_| NotMarks)?;
                Ok(Self { issued_at, login: mark(login)?, token: mark(token)? })
            }
            _ => Err(NotMarks),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn marks_survive_their_text(issued_at: u64, login: Option<String>, token: Option<String>) {
            let [login, token] = [login, token].map(|id| id.map(|id| Mark::of("user", &id)));
            let marks = Marks { issued_at, login, token };
            prop_assert_eq!(marks.to_string().parse(), Ok(marks));
        }

        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = text.parse::<Marks>();
            let _ = text.parse::<Mark>();
        }
    }

    #[test]
    fn a_mark_takes_16_bytes() {
        assert_eq!((size_of::<Option<Mark>>(), size_of::<Marks>()), (16, 40));
        assert_ne!(Mark::of("a", "bc"), Mark::of("ab", "c"));
    }
}
