//! Issues tokens, and verifies those that it issued.
//!
//! Guarantees: EdDSA and nothing else, with the key that the token's `kid` names; checks issuer, audience and times.
//! Does not know whether the user still exists.

use jackfield_shared::{
    claims::Claims,
    ids::new_id,
    jwks::KeySet,
    verify::{MAX_TOKEN, validation},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, decode, decode_header, encode, jwk::JwkSet};

use crate::{
    settings::Token,
    signing_key::{KeyError, StoredKey},
    users::User,
};

/// Signs and verifies.
pub struct Tokens {
    settings: Token,
    header: Header,
    signer: EncodingKey,
    public: JwkSet,
    keys: KeySet,
}

/// The signer refused, which no input can cause.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the token")]
pub struct SignError(#[from] jsonwebtoken::errors::Error);

impl Tokens {
    /// Signs with `key`.
    ///
    /// # Errors
    /// [`KeyError`] if `key` is not a valid key.
    pub fn new(settings: Token, key: &StoredKey) -> Result<Self, KeyError> {
        let public = JwkSet { keys: vec![key.public_jwk()?] };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        let keys = KeySet::from_jwks(&public);
        Ok(Self { settings, header, signer: key.encoding_key(), public, keys })
    }

    /// The public keys.
    #[must_use]
    pub fn public(&self) -> &JwkSet {
        &self.public
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
        Ok(encode(&self.header, &claims, &self.signer)?)
    }

    /// The claims of a token that this service signed and that is valid now.
    #[must_use]
    pub fn verify(&self, token: &str) -> Option<Claims> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let kid = decode_header(token).ok()?.kid?;
        let key = self.keys.find(Some(&kid))?;
        let Token { issuer, audience, .. } = &self.settings;
        let mut validation = validation(key.algorithm, 0, Some(issuer), Some(audience));
        validation.required_spec_claims.extend(["nbf", "sub"].map(str::to_owned));
        Some(decode::<Claims>(token, &key.key, &validation).ok()?.claims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::{claims::Role, time::unix_now};
    use rand::rngs::OsRng;

    fn tokens(issuer: &str) -> Tokens {
        let key = StoredKey::generate(&mut OsRng).unwrap();
        Tokens::new(Token { issuer: issuer.into(), ..Token::default() }, &key).unwrap()
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
        assert_eq!((header.alg, header.kid), (Algorithm::EdDSA, tokens.public().keys[0].common.key_id.clone()));
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
}
