//! The rules of refresh-token rotation: a decision without I/O and without a clock of its own.
//!
//! Guarantees: a token is exchanged once; for [`OVERLAP`] the client that lost the answer gets the same successor again,
//! as long as that was not used; any other use of a token that was valid once is a reuse. A token that never was one of
//! the login's is refused and nothing else: whoever knows only a login's id, which is in every access token, cannot end
//! it. Hashes are compared in constant time, and before anything else is looked up, so a refusal takes as long for an
//! unknown login as for one that has ended.

use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq as _;

use crate::refresh_token::{Nonce, RefreshToken, TokenHash};

/// How long the token before the current one may be presented again.
pub const OVERLAP: TimeDelta = TimeDelta::seconds(10);
/// Rotations after which an old token is no longer recognised, and its use no longer noticed.
const MAX_STEPS: u32 = 10_000;

/// The stored part of a login that decides.
pub struct Family {
    /// The login has not ended, its absolute end has not come, and its user is active.
    pub is_open: bool,
    /// The number of the current token.
    pub number: u32,
    /// The hash of the current token.
    pub token_hash: TokenHash,
    /// The time since when it is the current one.
    pub rotated_at: DateTime<Utc>,
    /// The key that makes successors.
    pub nonce: Nonce,
}

/// How a presented token is answered.
pub enum Verdict {
    /// It is the current one: this one is to replace it.
    Rotate(RefreshToken),
    /// It was replaced moments ago, and this one, the current one, is still unused: it is given again.
    Repeat(RefreshToken),
    /// It was used before: two parties have the login's tokens, and one is a thief.
    Reused,
    /// It is none of the login's tokens, or the login has ended.
    Refused,
}

impl Family {
    /// Stands in for a login that does not exist.
    #[must_use]
    pub fn unknown(presented: &RefreshToken, now: DateTime<Utc>) -> Self {
        let number = presented.number();
        Self { is_open: false, number, token_hash: [0; 32], rotated_at: now, nonce: [0; 32] }
    }
}

/// Judges a token that was presented at `now` to its login.
#[must_use]
pub fn judge(presented: &RefreshToken, family: &Family, now: DateTime<Utc>) -> Verdict {
    let steps = family.number.checked_sub(presented.number()).filter(|steps| *steps <= MAX_STEPS);
    let current = presented.after(&family.nonce, steps.unwrap_or(0));
    let is_genuine = steps.is_some() & bool::from(current.hash().ct_eq(&family.token_hash));
    if !is_genuine || !family.is_open {
        return Verdict::Refused;
    }
    match steps {
        Some(0) if current.number() == u32::MAX => Verdict::Refused,
        Some(0) => Verdict::Rotate(current.after(&family.nonce, 1)),
        Some(1) if now - family.rotated_at < OVERLAP => Verdict::Repeat(current),
        _ => Verdict::Reused,
    }
}
