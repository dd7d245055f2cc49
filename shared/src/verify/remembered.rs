//! Tokens that were verified with the current keys of one issuer.
//!
//! Guarantees: an identity is returned only before its token's `exp`; at most [`MAX`] are kept, and each takes at most a
//! few hundred bytes; the tokens themselves are not kept, only their SHA-256. When there are too many, one that was not
//! used for a while goes (the clock algorithm).

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest as _, Sha256};

use crate::claims::Identity;

/// Most tokens.
const MAX: usize = 10_000;
/// Bytes of an identity's texts. The tokens of identities with more are verified each time.
const MAX_TEXT: usize = 512;

/// The SHA-256 of a token.
pub(super) type Key = [u8; 32];

/// See the module.
#[derive(Default)]
pub(super) struct Remembered {
    places: HashMap<Key, usize>,
    slots: Vec<Slot>,
    /// The slot that is considered next when a place is needed.
    hand: usize,
}

struct Slot {
    key: Key,
    identity: Arc<Identity>,
    /// Used since the hand was last here.
    used: bool,
}

pub(super) fn key(token: &str) -> Key {
    Sha256::digest(token).into()
}

impl Remembered {
    /// The identity in the token, if it was verified and has not expired; `now` is in Unix seconds.
    pub(super) fn find(&mut self, key: &Key, now: u64) -> Option<Arc<Identity>> {
        let slot = &mut self.slots[*self.places.get(key)?];
        slot.used = true;
        (slot.identity.expires_at > now).then(|| Arc::clone(&slot.identity))
    }

    /// Remembers a token that was just verified.
    pub(super) fn insert(&mut self, key: Key, identity: &Arc<Identity>) {
        if text(identity) > MAX_TEXT {
            return;
        }
        let slot = Slot { key, identity: Arc::clone(identity), used: false };
        if let Some(place) = self.places.get(&key) {
            self.slots[*place] = slot;
        } else if self.slots.len() < MAX {
            self.places.insert(key, self.slots.len());
            self.slots.push(slot);
        } else {
            while std::mem::take(&mut self.slots[self.hand].used) {
                self.hand = (self.hand + 1) % MAX;
            }
            self.places.remove(&self.slots[self.hand].key);
            self.places.insert(key, self.hand);
            self.slots[self.hand] = slot;
            self.hand = (self.hand + 1) % MAX;
        }
    }
}

/// Bytes of an identity's texts.
fn text(Identity { user_id, name, email, roles, .. }: &Identity) -> usize {
    let roles: usize = roles.iter().map(|role| role.len() + size_of_val(role)).sum();
    user_id.len() + name.len() + email.as_ref().map_or(0, |email| email.len()) + roles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claims::Marks;

    fn identity(user: &str, expires_at: u64) -> Arc<Identity> {
        Arc::new(Identity {
            user_id: user.into(),
            name: "n".into(),
            email: None,
            roles: Arc::new([]),
            expires_at,
            marks: Marks::default(),
        })
    }

    proptest! {
        /// For any look-ups and insertions: only inserted tokens are found, and not from their `exp` on.
        #[test]
        fn only_live_tokens_are_found(steps in prop::collection::vec((0u8..40, 0u64..50, 0u64..50), 1..300)) {
            let mut remembered = Remembered::default();
            let mut model: HashMap<u8, u64> = HashMap::new();
            for (token, expires_at, now) in steps {
                let found = remembered.find(&key(&token.to_string()), now);
                let expected = model.get(&token).filter(|expires_at| **expires_at > now);
                prop_assert_eq!(found.as_ref().map(|identity| identity.expires_at), expected.copied());
                prop_assert!(found.is_none_or(|identity| *identity.user_id == *token.to_string()));
                remembered.insert(key(&token.to_string()), &identity(&token.to_string(), expires_at));
                model.insert(token, expires_at);
            }
        }
    }

    #[test]
    fn the_number_is_bounded_and_used_tokens_stay() {
        let mut remembered = Remembered::default();
        let token = |n: usize| key(&n.to_string());
        for n in 0..3 * MAX {
            remembered.insert(token(n), &identity("u", 10));
            assert!(remembered.find(&token(0), 0).is_some(), "used all the time: {n}");
        }
        assert_eq!((remembered.places.len(), remembered.slots.len()), (MAX, MAX));
        assert!(remembered.find(&token(1), 0).is_none() && remembered.find(&token(3 * MAX - 1), 0).is_some());
    }

    #[test]
    fn a_long_identity_is_not_kept() {
        let mut remembered = Remembered::default();
        remembered.insert(key("a"), &identity(&"x".repeat(MAX_TEXT), 10));
        assert_eq!(remembered.slots.len(), 0);
    }
}
