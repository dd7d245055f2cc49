//! The issuers whose tokens are accepted: the default one of `jwt.…`, and those of `issuers`.
//!
//! Secrets and key sets in files are read at start, so that a wrong path or a short secret stops the program and not
//! its users. Errors name the setting and the issuer, never a secret.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use jackfield_shared::{
    hosts::is_loopback,
    jwks::parse_jwks,
    settings::SettingsError,
    verify::{IssuerConfig, KeySource, Verifier, default_algorithms},
};

use super::{
    GatewaySettings,
    issuer_text::{IssuerText, KeyPlace, iss_of},
};

/// Fewest bytes of an HS256 secret: as long as the hash, as RFC 7518 requires.
const SECRET_BYTES: usize = 32;

impl GatewaySettings {
    /// The source of the default issuer's keys; `None` if `issuers` are the only ones.
    ///
    /// # Errors
    /// If both sources are configured, or neither and no other issuer, or if the secret is too short.
    pub fn key_source(&self) -> Result<Option<KeySource>, SettingsError> {
        match (self.jwt.secret.as_str(), self.jwt.jwks_url.as_str()) {
            ("", "") if self.issuers.is_empty() => Err(SettingsError::new(
                "set `jwt.jwksUrl` (JWT_JWKS_URL), `jwt.secret` (JWT_SECRET) or `issuers` (ISSUERS)",
            )),
            ("", "") => Ok(None),
            (secret, "") => {
                self.check_secret("setting `jwt.secret` (JWT_SECRET)", secret)?;
                Ok(Some(KeySource::Secret(secret.to_owned())))
            }
            ("", url) => Ok(Some(KeySource::Url(url.to_owned()))),
            _ => Err(SettingsError::new("set one of `jwt.jwksUrl` and `jwt.secret`, not both")),
        }
    }

    /// The verifier of all issuers, of which the default one has these keys, if there is one.
    ///
    /// # Errors
    /// Names the issuer that is invalid, or configured twice, or whose file cannot be read.
    pub fn verifier(&self, keys: Option<KeySource>) -> Result<Arc<Verifier>, SettingsError> {
        let wrong = |text: &str| Err(SettingsError::new(text));
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (issuer, audience) = (named(&self.jwt.issuer), named(&self.jwt.audience));
        if keys.is_none() && (issuer.is_some() || audience.is_some()) {
            return wrong(
                "`jwt.issuer` and `jwt.audience` need `jwt.jwksUrl` or `jwt.secret`; `issuers` have their own",
            );
        }
        let mut names: HashSet<_> = issuer.iter().cloned().collect();
        let mut others = Vec::new();
        for (index, text) in self.issuers.iter().enumerate() {
            let number = index + 1;
            let name = iss_of(text).unwrap_or("no iss");
            let config = self.issuer(text).and_then(|config| match &config.issuer {
                Some(iss) if !names.insert(iss.clone()) => Err("this `iss` is configured twice".to_owned()),
                _ => Ok(config),
            });
            let refused = |error| SettingsError::new(format!("setting `issuers`: issuer {number} ({name}): {error}"));
            others.push(config.map_err(refused)?);
        }
        let default = keys.map(|keys| IssuerConfig::new(keys, issuer, audience));
        if default.is_none() && others.is_empty() {
            return wrong("no issuer is configured: set `jwt.jwksUrl`, `jwt.secret` or `issuers`");
        }
        Ok(Verifier::for_issuers(default, others))
    }

    fn issuer(&self, text: &str) -> Result<IssuerConfig, String> {
        let IssuerText { iss, keys, audiences, algorithms, claims, user_prefix } = IssuerText::parse(text)?;
        let keys = match keys {
            KeyPlace::Url(url) => KeySource::Url(url),
            KeyPlace::JwksFile(path) => {
                let wrong = |error: String| format!("`jwksFile` {path} cannot be read: {error}");
                let json = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
                parse_jwks(&json).map_err(|error| wrong(error.to_string()))?;
                KeySource::File(PathBuf::from(path))
            }
            KeyPlace::SecretFile(path) => {
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| format!("`secretFile` {path} cannot be read: {error}"))?;
                // An editor's line end is not part of the secret.
                let secret = text.trim_end_matches(['\r', '\n']);
                self.check_secret("the secret in `secretFile`", secret).map_err(|error| error.to_string())?;
                KeySource::Secret(secret.to_owned())
            }
        };
        let algorithms = algorithms.unwrap_or_else(|| default_algorithms(&keys));
        Ok(IssuerConfig { issuer: Some(iss), audiences, keys, algorithms, claims, user_prefix })
    }

    /// A short secret, which can be guessed, is accepted with a warning if only this machine can connect. An empty one
    /// never is.
    fn check_secret(&self, name: &str, secret: &str) -> Result<(), SettingsError> {
        if secret.len() >= SECRET_BYTES {
            return Ok(());
        }
        if secret.is_empty() || !is_loopback(&self.host) {
            return Err(SettingsError::new(format!(
                "{name} must have at least {SECRET_BYTES} bytes: a shorter one can be guessed from any token, and is \
                 accepted only if `host` (HOST) is a loopback address"
            )));
        }
        tracing::warn!(
            "{name} has fewer than {SECRET_BYTES} bytes and can be guessed from any token; it is accepted only because \
             `host` (HOST) is a loopback address"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jackfield_shared::settings::{Sources, load};
    use serde_json::json;

    fn settings(overrides: &[String]) -> GatewaySettings {
        load(&Sources { overrides: overrides.to_vec(), ..Sources::default() }).unwrap()
    }

    #[test]
    fn a_short_secret_is_accepted_on_loopback_only() {
        let refused = |secret: &str, host: &str| {
            let source = settings(&[format!("jwt.secret={secret}"), format!("host={host}")]).key_source();
            source.err().map(|error| error.to_string())
        };
        let (short, long) = ("s".repeat(31), "s".repeat(32));
        for host in ["0.0.0.0", "::", "10.0.0.1"] {
            let error = refused(&short, host).unwrap();
            assert!(error.contains("JWT_SECRET") && error.contains("32 bytes") && !error.contains(&short), "{error}");
            assert_eq!(refused(&long, host), None);
        }
        assert_eq!(refused("s", "127.0.0.1"), None);
    }

    fn verifier(issuers: &[&str], others: &[&str]) -> Result<(), String> {
        let overrides = others.iter().map(|text| (*text).to_owned());
        let settings = settings(&overrides.chain([format!("issuers={}", json!(issuers))]).collect::<Vec<_>>());
        settings.key_source().and_then(|keys| settings.verifier(keys)).map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn issuers_need_no_default_one() {
        let one = "iss=a;jwks=https://a/keys";
        assert_eq!(verifier(&[one], &[]), Ok(()));
        assert_eq!(verifier(&[one, "iss=b;jwks=http://b:1/keys;users=b:"], &["jwt.jwksUrl=http://c/"]), Ok(()));
        for (issuers, others, part) in [
            (vec![], vec![], "`issuers` (ISSUERS)"),
            (vec![one], vec!["jwt.issuer=x"], "`jwt.issuer`"),
            (vec![one, one], vec![], "issuer 2 (a): this `iss` is configured twice"),
            (vec![one], vec!["jwt.jwksUrl=http://c/", "jwt.issuer=a"], "issuer 1 (a): this `iss`"),
            (vec![one, "iss=b"], vec![], "issuer 2 (b): set one of"),
            (vec!["jwks=https://hidden/"], vec![], "issuer 1 (no iss): `iss=` is missing"),
        ] {
            let error = verifier(&issuers, &others).unwrap_err();
            assert!(error.contains(part) && !error.contains("hidden"), "{error}");
        }
    }

    #[test]
    fn files_are_read_at_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let long = file("long", &format!("{}\n", "s".repeat(32)));
        let (short, empty) = (file("short", &format!("{}\n", "s".repeat(31))), file("empty", "\n"));
        let (set, no_set) = (file("set", r#"{"keys":[]}"#), file("none", "sss"));
        let with = |key: &str, path: &str, host: &str| verifier(&[&format!("iss=a;{key}={path}")], &[host]);
        let (public, local) = ("host=0.0.0.0", "host=localhost");
        assert_eq!(with("secretFile", &long, public), Ok(()));
        assert_eq!(with("secretFile", &short, local), Ok(()));
        assert_eq!(with("jwksFile", &set, public), Ok(()));
        for (key, path, host, part) in [
            ("secretFile", &*short, public, "at least 32 bytes"),
            ("secretFile", &empty, local, "at least 32 bytes"),
            ("secretFile", "/no/such/file", local, "`secretFile` /no/such/file cannot be read"),
            ("jwksFile", "/no/such/file", local, "`jwksFile` /no/such/file cannot be read"),
            ("jwksFile", &no_set, local, "not a JWK Set"),
        ] {
            let error = with(key, path, host).unwrap_err();
            assert!(error.starts_with("setting `issuers`: issuer 1 (a): ") && error.contains(part), "{error}");
            assert!(!error.contains("sss"), "{error}");
        }
    }
}
