//! The text that configures one issuer. Pure.
//!
//! `iss=ISSUER;jwks=URL;aud=AUDIENCE;algorithms=RS256+ES256;id=CLAIM;name=CLAIM;roles=CLAIM;login=CLAIM;users=PREFIX`
//!
//! Any order; `jwksFile=PATH` or `secretFile=PATH` may replace `jwks=URL`. All but `iss` and the keys may be omitted.
//! Errors never show a value, which may hold a secret.

use axum::http::Uri;
use jackfield_shared::verify::{Algorithm, ClaimNames, ClaimPath};

/// The algorithms of key sets.
const ASYMMETRIC: [(&str, Algorithm); 9] = [
    ("EdDSA", Algorithm::EdDSA),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
];
/// Most characters of a prefix, so that it leaves room for ids.
const MAX_PREFIX: usize = 32;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IssuerText {
    pub(super) iss: String,
    pub(super) keys: KeyPlace,
    pub(super) audiences: Vec<String>,
    /// `None` for the default ones.
    pub(super) algorithms: Option<Vec<Algorithm>>,
    pub(super) claims: ClaimNames,
    pub(super) user_prefix: String,
}

/// The place of an issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyPlace {
    /// A JWK Set at this URL.
    Url(String),
    /// A JWK Set in this file.
    JwksFile(String),
    /// An HS256 secret in this file.
    SecretFile(String),
}

/// The `iss` that a text begins to describe, for messages about it.
pub(super) fn iss_of(text: &str) -> Option<&str> {
    text.split(';').find_map(|part| part.trim().strip_prefix("iss=")).map(str::trim)
}

impl IssuerText {
    /// # Errors
    /// Says what is wrong, without the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Parts::read(text)?;
        let iss = parts.take("iss").ok_or("`iss=` is missing")?;
        let keys = match (parts.take("jwks"), parts.take("jwksFile"), parts.take("secretFile")) {
            (Some(url), None, None) if is_url(&url) => KeyPlace::Url(url),
            (Some(_), None, None) => return Err("`jwks` must be a URL with `http://` or `https://`".into()),
            (None, Some(path), None) => KeyPlace::JwksFile(path),
            (None, None, Some(path)) => KeyPlace::SecretFile(path),
            _ => return Err("set one of `jwks`, `jwksFile` and `secretFile`".into()),
        };
        let algorithms = parts.take("algorithms").map(|text| algorithms(&text, &keys)).transpose()?;
        let audiences = parts.take("aud").map(|text| alternatives("aud", &text)).transpose()?.unwrap_or_default();
        let user_prefix = parts.take("users").unwrap_or_default();
        if user_prefix.chars().count() > MAX_PREFIX || user_prefix.contains(|c: char| c.is_control() || c == ' ') {
            return Err(format!("`users` must be at most {MAX_PREFIX} characters, without spaces"));
        }
        let mut claims = ClaimNames::default();
        for (key, claim) in [
            ("id", &mut claims.id),
            ("name", &mut claims.name),
            ("roles", &mut claims.roles),
            ("login", &mut claims.login),
        ] {
            if let Some(text) = parts.take(key) {
                *claim = ClaimPath::parse(&text).ok_or_else(|| format!("`{key}` must be CLAIM or CLAIM+CLAIM"))?;
            }
        }
        parts.end()?;
        Ok(Self { iss, keys, audiences, algorithms, claims, user_prefix })
    }
}

/// `key=value` parts that nothing has taken so far.
struct Parts(Vec<(String, String)>);

impl Parts {
    fn read(text: &str) -> Result<Self, String> {
        let mut parts: Vec<(String, String)> = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').ok_or("each part must be key=value")?;
            let (key, value) = (key.trim(), value.trim());
            if value.is_empty() && key != "users" {
                return Err("a value is empty".into());
            }
            if parts.iter().any(|(other, _)| other == key) {
                return Err("a key is there twice".into());
            }
            parts.push((key.to_owned(), value.to_owned()));
        }
        Ok(Self(parts))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(other, _)| other == key)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Refuses what is left. The keys are not shown: a `;` within a secret would make a key of its end.
    fn end(self) -> Result<(), String> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err("unknown key: there are `iss`, `jwks`, `jwksFile`, `secretFile`, `aud`, `algorithms`, `id`, `name`, \
             `roles`, `login` and `users`"
            .into())
    }
}

fn alternatives(key: &str, text: &str) -> Result<Vec<String>, String> {
    let all: Vec<_> = text.split('+').map(|one| one.trim().to_owned()).collect();
    if all.iter().any(String::is_empty) { Err(format!("`{key}` has an empty alternative")) } else { Ok(all) }
}

/// A secret is never accepted for a public key's algorithm, and the other way around.
fn algorithms(text: &str, keys: &KeyPlace) -> Result<Vec<Algorithm>, String> {
    let possible = match keys {
        KeyPlace::SecretFile(_) => [("HS256", Algorithm::HS256)].as_slice(),
        KeyPlace::Url(_) | KeyPlace::JwksFile(_) => &ASYMMETRIC,
    };
    let named = |name: String| possible.iter().find(|(other, _)| *other == name).map(|(_, algorithm)| *algorithm);
    alternatives("algorithms", text)?.into_iter().map(named).collect::<Option<_>>().ok_or_else(|| {
        let names: Vec<_> = possible.iter().map(|(name, _)| *name).collect();
        format!("`algorithms` must be of {}", names.join("+"))
    })
}

fn is_url(text: &str) -> bool {
    text.parse().is_ok_and(|uri: Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYCLOAK: &str = "iss=https://id.example.com/realms/main;jwks=https://id.example.com/certs?a=b;\
        aud=account+chat;algorithms=RS256+ES256;id=sub;name=name;roles=realm_access.roles;login=sid;users=kc:";

    #[test]
    fn every_key_is_read() {
        let read = IssuerText::parse(KEYCLOAK).unwrap();
        let path = |text| ClaimPath::parse(text).unwrap();
        let expected = IssuerText {
            iss: "https://id.example.com/realms/main".into(),
            keys: KeyPlace::Url("https://id.example.com/certs?a=b".into()),
            audiences: vec!["account".into(), "chat".into()],
            algorithms: Some(vec![Algorithm::RS256, Algorithm::ES256]),
            claims: ClaimNames {
                id: path("sub"),
                name: path("name"),
                roles: path("realm_access.roles"),
                login: path("sid"),
            },
            user_prefix: "kc:".into(),
        };
        assert_eq!(read, expected);
        assert_eq!(iss_of(KEYCLOAK), Some("https://id.example.com/realms/main"));
    }

    #[test]
    fn all_but_the_issuer_and_its_keys_may_be_omitted() {
        let read = IssuerText::parse(" secretFile = /run/s ; iss = a ; users = ; ").unwrap();
        let expected = IssuerText {
            iss: "a".into(),
            keys: KeyPlace::SecretFile("/run/s".into()),
            audiences: Vec::new(),
            algorithms: None,
            claims: ClaimNames::default(),
            user_prefix: String::new(),
        };
        assert_eq!(read, expected);
        let roles = IssuerText::parse("iss=a;jwksFile=f;roles=https://example.com/roles+role").unwrap().claims.roles;
        assert_eq!(Some(roles), ClaimPath::parse("https://example.com/roles+role"));
    }

    #[test]
    fn invalid_texts_are_refused_without_showing_a_value() {
        for (text, part) in [
            ("", "`iss=` is missing"),
            ("jwks=https://hidden", "`iss=` is missing"),
            ("iss=;jwks=https://hidden", "empty"),
            ("iss=a", "set one of"),
            ("iss=a;jwks=https://hidden;secretFile=hidden", "set one of"),
            ("iss=a;jwks=hidden", "`jwks`"),
            ("iss=a;jwks=ftp://hidden/", "`jwks`"),
            ("iss=a;jwks=https://hidden;iss=b", "twice"),
            ("iss=a;jwks=https://u:hid;den@host/", "key=value"),
            ("iss=a;jwks=https://host/;hidden=1", "unknown key"),
            ("iss=a;secret=hidden;secretFile=f", "unknown key"),
            ("iss=a;jwks=https://host/;algorithms=hidden", "EdDSA+RS256"),
            ("iss=a;jwks=https://host/;algorithms=HS256", "`algorithms`"),
            ("iss=a;jwks=https://host/;algorithms=none", "`algorithms`"),
            ("iss=a;secretFile=f;algorithms=RS256", "HS256"),
            ("iss=a;secretFile=f;roles=a++b", "`roles`"),
            ("iss=a;secretFile=f;aud=+", "`aud`"),
            ("iss=a;secretFile=f;users=a b", "`users`"),
            ("iss=a;secretFile=f;users=abcdefghijklmnopqrstuvwxyz1234567", "`users`"),
        ] {
            let error = IssuerText::parse(text).unwrap_err();
            assert!(error.contains(part) && !error.contains("hidden") && !error.contains("den"), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,80}") {
            let _ = (IssuerText::parse(&text), iss_of(&text));
        }

        #[test]
        fn any_order_of_the_parts_is_the_same(order in Just(KEYCLOAK.split(';').collect::<Vec<_>>()).prop_shuffle()) {
            prop_assert_eq!(IssuerText::parse(&order.join(" ; ")), IssuerText::parse(KEYCLOAK));
        }

        #[test]
        fn values_are_kept_as_they_are(iss in "[!-~&&[^;]]{1,40}", users in "[!-~&&[^;]]{0,32}") {
            let read = IssuerText::parse(&format!("iss={iss};jwksFile=f;users={users}")).unwrap();
            prop_assert_eq!((read.iss, read.user_prefix), (iss, users));
        }
    }
}
