//! The configured API keys: a name, its scopes, and the key's SHA-256. The key itself is not stored.

use jackfield_shared::settings::SettingsError;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// A permission of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Emit events.
    Emit,
    /// Write and delete notifications.
    Notify,
    /// Read presence, notifications and rooms.
    Read,
    /// End users' sessions.
    Disconnect,
    /// Publish to rooms and feeds.
    Publish,
    /// Let sockets into rooms, and make them leave.
    Rooms,
    /// Read dead facts of hooks, and send them again.
    Hooks,
}

impl Scope {
    const ALL: [(&str, Self); 7] = [
        ("emit", Self::Emit),
        ("notify", Self::Notify),
        ("read", Self::Read),
        ("disconnect", Self::Disconnect),
        ("publish", Self::Publish),
        ("rooms", Self::Rooms),
        ("hooks", Self::Hooks),
    ];

    /// The name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, scope)| *scope == self).map_or("", |(name, _)| name)
    }
}

/// A configured key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// Distinguishes callers, and is safe to log.
    pub(crate) name: String,
    scopes: Vec<Scope>,
    hash: [u8; 32],
}

impl ApiKey {
    /// Whether the key has this scope.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// All keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiKeys(Vec<ApiKey>);

impl ApiKeys {
    /// Parses `name:scope+scope:sha256` for each.
    ///
    /// # Errors
    /// Names the invalid entry by its name or position, and never shows a hash.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, SettingsError> {
        let keys: Vec<ApiKey> =
            texts.iter().enumerate().map(|(index, text)| parse_key(index, text)).collect::<Result<_, _>>()?;
        let twice =
            keys.iter().enumerate().find(|(index, key)| keys[..*index].iter().any(|other| other.name == key.name));
        match twice {
            Some((_, key)) => Err(SettingsError::new(format!("setting `api.keys` has two keys named {}", key.name))),
            None => Ok(Self(keys)),
        }
    }

    /// The entry of this key, if any. Takes the same time for every key, known or not.
    pub(crate) fn find(&self, key: &str) -> Option<&ApiKey> {
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        let mut found = u64::MAX;
        for (index, known) in (0_u64..).zip(&self.0) {
            let same: Choice = known.hash.ct_eq(&hash);
            found.conditional_assign(&index, same);
        }
        self.0.get(usize::try_from(found).ok()?)
    }
}

fn parse_key(index: usize, text: &str) -> Result<ApiKey, SettingsError> {
    let wrong = |what: &str| {
        SettingsError::new(format!(
            "setting `api.keys`: entry {} {what}; an entry is `name:scope+scope:sha256 of the key in hex`",
            index + 1
        ))
    };
    let mut parts = text.splitn(3, ':');
    let (Some(name), Some(scopes), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong("must have three parts"));
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(wrong("must have a name of 1 to 64 letters, digits, `-`, `_` or `.`"));
    }
    let scope = |text: &str| Scope::ALL.iter().find(|(name, _)| *name == text).map(|(_, scope)| *scope);
    let scopes = scopes.split('+').map(scope).collect::<Option<Vec<_>>>();
    let scopes =
        scopes.ok_or_else(|| wrong("must have scopes out of emit, notify, read, disconnect, publish, rooms, hooks"))?;
    let hash = from_hex(hash).ok_or_else(|| wrong("must have a SHA-256 of 64 hex digits"))?;
    Ok(ApiKey { name: name.to_owned(), scopes, hash })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SHA-256 of `secret`, as `printf secret | sha256sum` prints it.
    const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn keys(texts: &[&str]) -> Result<ApiKeys, SettingsError> {
        ApiKeys::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_key_is_found_with_its_scopes() {
        let other = "0".repeat(64);
        let keys = keys(&[&format!("other:read:{other}"), &format!("shop:emit+notify:{HASH}")]).unwrap();
        let shop = keys.find("secret").unwrap();
        assert_eq!(shop.name, "shop");
        assert!(shop.may(Scope::Emit) && shop.may(Scope::Notify) && !shop.may(Scope::Read));
        assert_eq!(keys.find("secret "), None);
        assert_eq!(keys.find(""), None);
        assert_eq!(ApiKeys::default().find("secret"), None);
    }

    #[test]
    fn an_error_names_the_setting_and_shows_no_hash() {
        let short = &HASH[1..];
        for wrong in [
            "shop".to_owned(),
            format!("shop:emit:{short}"),
            format!("shop:fly:{HASH}"),
            format!(":emit:{HASH}"),
            format!("a b:emit:{HASH}"),
        ] {
            let error = keys(&[&wrong]).unwrap_err().to_string();
            assert!(error.contains("api.keys") && !error.contains(short), "{error}");
        }
        let twice = keys(&[&format!("a:emit:{HASH}"), &format!("a:read:{HASH}")]).unwrap_err().to_string();
        assert!(twice.contains("two keys named a"), "{twice}");
    }

    proptest! {
        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,100}") {
            let _ = ApiKeys::parse(&[text]);
        }
    }
}
