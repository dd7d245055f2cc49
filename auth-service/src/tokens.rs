//! Issues tokens, and verifies those that it issued.
//!
//! Guarantees: EdDSA and nothing else, with the key that the token's `kid` names; checks issuer, audience and times.
//! Signs with one key and accepts tokens of all published ones; the keys are replaced in one step, while requests run.
//! Does not know whether the user still exists.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jackfield_shared::{
    claims::Claims,
    ids::new_id,
    verify::{MAX_TOKEN, validation},
};
use jsonwebtoken::{decode, decode_header, encode};

use crate::{keys::KeyRing, settings::Token, users::User};

/// Signs and verifies.
pub struct Tokens {
    settings: Token,
    keys: ArcSwap<KeyRing>,
}

/// The signer refused, which no input can cause.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the token")]
pub struct SignError(#[from] jsonwebtoken::errors::Error);

impl Tokens {
    /// Signs and verifies with these keys.
    #[must_use]
    pub fn new(settings: Token, keys: KeyRing) -> Self {
        Self { settings, keys: ArcSwap::from_pointee(keys) }
    }

    /// The keys in use.
    #[must_use]
    pub fn keys(&self) -> Arc<KeyRing> {
        self.keys.load_full()
    }

    /// Uses these keys from now on.
    pub fn replace_keys(&self, keys: KeyRing) {
        self.keys.store(Arc::new(keys));
    }

    /// The expiry of a token that is issued at `now`, both in Unix seconds.
    #[must_use]
    pub fn expiry(&self, now: u64) -> u64 {
        now.saturating_add(self.settings.lifetime.as_secs())
    }

    /// A token of `user` for the login `sid`, valid from `now` until `exp`, in Unix seconds.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn issue(&self, user: &User, sid: &str, now: u64, exp: u64) -> Result<String, SignError> {
        let claims = Claims {
            iss: self.settings.issuer.clone(),
            aud: self.settings.audience.clone(),
            sub: user.id.to_string(),
            email: user.email.clone(),
            name: user.full_name.clone(),
            roles: user.roles.clone(),
            sid: sid.to_owned(),
            jti: new_id(),
            iat: now,
            nbf: now,
            exp,
        };
        let keys = self.keys.load();
        Ok(encode(&keys.header, &claims, &keys.signer)?)
    }

    /// The claims of a token that this service signed and that is valid now.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Claims> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let kid = decode_header(token).ok()?.kid?;
        let keys = self.keys.load();
        let key = keys.verifiers.find(Some(&kid))?;
        let Token { issuer, audience, .. } = &self.settings;
        let mut validation = validation(key.algorithm, 0, Some(issuer), Some(audience));
        validation.required_spec_claims.extend(["nbf", "sub"].map(str::to_owned));
        Some(decode::<Claims>(token, &key.key, &validation).ok()?.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{
        KeyPair,
        ring::OpenKey,
        rotation::{Key, State},
    };
    use chrono::{TimeDelta, Utc};
    use jackfield_shared::{claims::Role, time::unix_now};
    use jsonwebtoken::Algorithm;
    use rand::rngs::OsRng;

    fn key(state: State) -> OpenKey {
        let pair = KeyPair::generate(&mut OsRng).unwrap();
        let key = Key { kid: pair.kid.clone(), state, published: Utc::now(), token_seconds: 1, sealed: false };
        OpenKey { key, pair }
    }

    fn current() -> State {
        State::Current { since: Utc::now() }
    }

    fn ring(keys: &[OpenKey]) -> KeyRing {
        KeyRing::new(keys, Utc::now()).unwrap()
    }

    fn tokens(issuer: &str) -> Tokens {
        Tokens::new(Token { issuer: issuer.into(), ..Token::default() }, ring(&[key(current()), key(State::Next)]))
    }

    fn ann() -> User {
        User {
            id: uuid::Uuid::now_v7(),
            email: "ann@mail.com".into(),
            full_name: "Ann".into(),
            is_active: true,
            roles: vec![Role::User],
        }
    }

    #[test]
    fn own_tokens_pass_with_the_claims_of_the_contract() {
        let (tokens, ann, now) = (tokens("us"), ann(), unix_now());
        let token = tokens.issue(&ann, "login", now, tokens.expiry(now)).unwrap();
        let header = decode_header(&token).unwrap();
        assert_eq!((header.alg, header.kid), (Algorithm::EdDSA, tokens.keys().public().keys[0].common.key_id.clone()));
        let claims = tokens.verify(&token).unwrap();
        assert_eq!((claims.sub, claims.sid.as_str(), claims.roles), (ann.id.to_string(), "login", vec![Role::User]));
        assert_eq!((claims.iat, claims.nbf, claims.exp), (now, now, now + 7_200));
        assert_ne!(
            claims.jti,
            tokens.verify(&tokens.issue(&ann, "login", now, tokens.expiry(now)).unwrap()).unwrap().jti
        );
    }

    #[test]
    fn foreign_expired_and_malformed_tokens_are_refused() {
        let (ours, now) = (tokens("us"), unix_now());
        let issue = |tokens: &Tokens, at| tokens.issue(&ann(), "s", at, tokens.expiry(at)).unwrap();
        let good = issue(&ours, now);
        let (unsigned, _) = good.rsplit_once('.').unwrap();
        for (why, token) in [
            ("another's key", issue(&tokens("us"), now)),
            ("expired", issue(&ours, now - 7_200)),
            ("not yet", issue(&ours, now + 60)),
            ("no signature", format!("{unsigned}.")),
            ("too long", format!("{good}{}", "x".repeat(MAX_TOKEN))),
            ("none at all", String::new()),
        ] {
            assert_eq!(ours.verify(&token), None, "{why}");
        }
        assert!(ours.verify(&good).is_some());
    }

    #[test]
    fn tokens_of_all_published_keys_pass_and_one_key_signs() {
        let (mut first, mut second) = (key(current()), key(State::Next));
        let tokens = Tokens::new(Token::default(), ring(&[first.clone(), second.clone()]));
        let before = tokens.issue(&ann(), "s", unix_now(), unix_now() + 60).unwrap();
        assert_eq!(decode_header(&before).unwrap().kid.as_ref(), Some(&first.key.kid));

        let now = Utc::now();
        first.key.state = State::Old { since: now - TimeDelta::hours(1), ends: now + TimeDelta::seconds(60) };
        second.key.state = State::Current { since: now };
        let keys = [second.clone(), key(State::Next), first];
        tokens.replace_keys(ring(&keys));
        let after = tokens.issue(&ann(), "s", unix_now(), unix_now() + 60).unwrap();
        assert_eq!(decode_header(&after).unwrap().kid.as_ref(), Some(&second.key.kid));
        assert!(tokens.verify(&before).is_some() && tokens.verify(&after).is_some());
        assert_eq!(tokens.keys().public().keys.len(), 3);

        tokens.replace_keys(KeyRing::new(&keys, now + TimeDelta::seconds(60)).unwrap());
        assert!(tokens.verify(&before).is_none(), "the old key is over");
        assert!(tokens.verify(&after).is_some());
        assert_eq!(tokens.keys().public().keys.len(), 2);
    }
}
