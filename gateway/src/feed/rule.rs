//! The configuration of one feed. Pure.
//!
//! A rule is text: `<name>;greeting=<text>;entity=<name>;read=anyone;update=<roles>;keep=<number>;durable=<durability>`.
//! An omitted part gets the safe value: only token holders read, only backends update. Without a durability, memory is
//! enough.

use std::collections::HashSet;

use jackfield_cluster::log::Durability;
use jackfield_shared::settings::SettingsError;

use crate::roles::Roles;

/// Most updates that a feed may keep for new subscribers, because all of them enter a subscriber's queue at once.
const MAX_KEEP: usize = 100;
/// Most characters of a name.
const MAX_NAME: usize = 64;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// 1 to 64 of letters, digits, `_ . -`.
    pub(crate) name: String,
    /// Text that a subscriber gets on connecting.
    pub(crate) greeting: String,
    /// Entity of backends' updates that name none.
    pub(crate) entity: String,
    /// The clients that may subscribe.
    pub(crate) read: Read,
    /// The roles that may send `updateProduct`.
    pub(crate) update: Roles,
    /// Number of the last updates that new subscribers get.
    pub(crate) keep: usize,
    /// The durability that an update must have before it is acknowledged.
    pub(crate) durable: Durability,
}

/// The clients that may subscribe to a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// All clients, with or without a token.
    Anyone,
    /// Holders of a valid token, while it is valid.
    Token,
}

impl Rule {
    /// Parses the configured feeds.
    ///
    /// # Errors
    /// Names the rule that is invalid, or the feed that is configured twice.
    pub(crate) fn parse_all(rules: &[String]) -> Result<Vec<Self>, SettingsError> {
        let wrong = |rule: &str| {
            SettingsError::new(format!(
                "setting `feeds`: `{rule}` must be name;greeting=TEXT;entity=NAME;read=anyone or token;\
                 update=ROLE+ROLE;keep=0 to {MAX_KEEP};durable=memory, replica or disk"
            ))
        };
        let rules: Vec<Self> =
            rules.iter().map(|rule| Self::parse(rule).ok_or_else(|| wrong(rule))).collect::<Result<_, _>>()?;
        let mut names = HashSet::new();
        match rules.iter().find(|rule| !names.insert(&rule.name)) {
            Some(twice) => Err(SettingsError::new(format!("setting `feeds`: `{}` is configured twice", twice.name))),
            None => Ok(rules),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().filter(|name| is_name(name))?.to_owned();
        let entity = name.to_uppercase();
        let greeting = format!("Updates Notifications WS: {name}");
        let (read, update, durable) = (Read::Token, Roles::none(), Durability::Memory);
        let mut rule = Self { name, greeting, entity, read, update, keep: 0, durable };
        for part in parts {
            let (key, value) = part.split_once('=')?;
            let value = value.trim();
            match key.trim() {
                "greeting" => rule.greeting = value.to_owned(),
                "entity" => rule.entity = value.to_owned(),
                "read" if value == "anyone" => rule.read = Read::Anyone,
                "read" if value == "token" => rule.read = Read::Token,
                "update" => rule.update = Roles::parse(value),
                "keep" => rule.keep = value.parse().ok().filter(|keep| *keep <= MAX_KEEP)?,
                "durable" => rule.durable = Durability::parse(value)?,
                _ => return None,
            }
        }
        Some(rule)
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::GatewaySettings;
    use proptest::prelude::*;

    fn parse(rules: &[&str]) -> Result<Vec<Rule>, SettingsError> {
        Rule::parse_all(&rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_default_feed_is_that_of_the_protocol() {
        let rules = Rule::parse_all(&GatewaySettings::default().feeds).unwrap();
        assert_eq!(rules.len(), 1);
        let Rule { name, greeting, entity, read, update, keep, durable } = &rules[0];
        assert_eq!(*durable, Durability::Memory);
        assert_eq!(greeting, "Updates Notifications WS: Productos - Tienda API NestJS");
        assert_eq!((name.as_str(), entity.as_str(), *read, *keep), ("productos", "PRODUCTOS", Read::Anyone, 0));
        assert!(update.allow(&["ADMIN".into()]) && update.allow(&["SUPERUSER".into()]));
        assert!(!update.allow(&["USER".into()]) && !update.allow(&[]));
    }

    #[test]
    fn omitted_parts_get_the_safe_value() {
        let rules = parse(&["stock-1"]).unwrap();
        assert_eq!((rules[0].read, &rules[0].update, rules[0].keep), (Read::Token, &Roles::none(), 0));
        assert_eq!(rules[0].entity, "STOCK-1");
        let rules = parse(&["a ; greeting = x = y ; keep = 5 ; update = *"]).unwrap();
        assert_eq!((rules[0].greeting.as_str(), rules[0].keep), ("x = y", 5));
        assert!(rules[0].update.allow(&[]));
        assert_eq!(parse(&["a;durable=disk"]).unwrap()[0].durable, Durability::Disk);
    }

    #[test]
    fn invalid_rules_are_refused() {
        for bad in [
            "",
            ";read=token",
            "a b",
            "a/b",
            "a,b",
            "ä",
            "a;b",
            "a;read=all",
            "a;keep=101",
            "a;keep=-1",
            "a;x=1",
            "a;durable=on",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert!(parse(&["a", "b", "a;keep=1"]).unwrap_err().to_string().contains("`a` is configured twice"));
    }

    proptest! {
        #[test]
        fn any_text_parses_without_panic(text in "\\PC{0,60}") {
            let _ = parse(&[&text]);
        }
    }
}
