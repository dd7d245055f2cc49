//! The rules of refresh-token rotation: a decision without I/O and without a clock of its own.
//!
//! Guarantees: a token is exchanged once; for [`OVERLAP`] a client that lost the answer gets the same successor again,
//! as long as that was not used; any other use of a token that was valid once is a reuse. A token that never was one of
//! the login's is refused and nothing else: a stranger who knows a login's id, which is in every access token, cannot
//! end it. The hash is compared first, in constant time, so a refusal takes as long for a login that has ended as for
//! one that goes on.

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    const NONCE: Nonce = [9; 32];

    fn token(number: u32) -> RefreshToken {
        RefreshToken::first(Uuid::nil(), [1; 32]).after(&NONCE, number)
    }

    fn family(number: u32, rotated_at: DateTime<Utc>) -> Family {
        Family { is_open: true, number, token_hash: token(number).hash(), rotated_at, nonce: NONCE }
    }

    fn name(verdict: &Verdict) -> (&'static str, Option<u32>) {
        match verdict {
            Verdict::Rotate(next) => ("rotate", Some(next.number())),
            Verdict::Repeat(current) => ("repeat", Some(current.number())),
            Verdict::Reused => ("reused", None),
            Verdict::Refused => ("refused", None),
        }
    }

    /// A call, or time that passes.
    #[derive(Debug, Clone)]
    enum Step {
        /// Presents a token that was handed out, counted from the newest.
        Present(usize),
        /// Presents a token that was never handed out.
        Forge(u32),
        Wait(i64),
        Logout,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => Just(Step::Present(0)),
            4 => (0_usize..6).prop_map(Step::Present),
            3 => prop_oneof![0_u32..12, any::<u32>()].prop_map(Step::Forge),
            3 => (0_i64..15_000).prop_map(Step::Wait),
            1 => Just(Step::Logout),
        ];
        prop::collection::vec(step, 1..60)
    }

    proptest! {
        /// The model knows which tokens were handed out, and no secrets.
        #[test]
        fn any_sequence_of_calls_follows_the_rules(steps in steps()) {
            let mut now = DateTime::<Utc>::UNIX_EPOCH;
            let mut stored = family(0, now);
            let mut handed_out = vec![token(0)];
            // The model: the number of the newest token, since when, and whether the login goes on.
            let (mut newest, mut since, mut is_open) = (0, now, true);
            for step in steps {
                match step {
                    Step::Wait(millis) => now += TimeDelta::milliseconds(millis),
                    Step::Logout => (stored.is_open, is_open) = (false, false),
                    Step::Forge(number) => {
                        let mut forged = RefreshToken::first(Uuid::nil(), [77; 32]);
                        if number < 1_000 {
                            forged = forged.after(&[5; 32], number);
                        }
                        prop_assert_eq!(name(&judge(&forged, &stored, now)).0, "refused");
                    }
                    Step::Present(back) => {
                        let presented = handed_out[handed_out.len().saturating_sub(1 + back)].clone();
                        let verdict = judge(&presented, &stored, now);
                        let expected = match newest - presented.number() {
                            _ if !is_open => ("refused", None),
                            0 => ("rotate", Some(newest + 1)),
                            1 if now - since < OVERLAP => ("repeat", Some(newest)),
                            _ => ("reused", None),
                        };
                        prop_assert_eq!(name(&verdict), expected);
                        match verdict {
                            Verdict::Rotate(next) => {
                                (newest, since) = (next.number(), now);
                                stored = Family { token_hash: next.hash(), ..family(newest, now) };
                                handed_out.push(next);
                            }
                            Verdict::Repeat(current) => {
                                prop_assert_eq!(current.to_text(), handed_out[newest as usize].to_text());
                            }
                            Verdict::Reused => (stored.is_open, is_open) = (false, false),
                            Verdict::Refused => {}
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn very_old_tokens_and_the_last_number_are_refused() {
        let now = Utc::now();
        let verdict = |presented, family: &Family| name(&judge(&token(presented), family, now)).0;
        assert_eq!(verdict(0, &family(MAX_STEPS, now)), "reused");
        assert_eq!(verdict(0, &family(MAX_STEPS + 1, now)), "refused");
        assert_eq!(verdict(3, &Family::unknown(&token(3), now)), "refused");
    }

    #[test]
    fn the_overlap_ends_to_the_millisecond() {
        let since = Utc::now();
        let after = |millis| name(&judge(&token(0), &family(1, since), since + TimeDelta::milliseconds(millis))).0;
        assert_eq!((after(9_999), after(10_000)), ("repeat", "reused"));
        assert_eq!(after(-2_000), "repeat", "the clock of another service may be ahead");
    }
}
