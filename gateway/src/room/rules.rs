//! The roles that may join and send, and what an acknowledged message must have reached, by pattern of a room's name.
//! Pure.
//!
//! A rule is text: `<pattern>;join=<roles>;send=<roles>;durable=<durability>`, roles separated by `+`, `*` for all users;
//! a pattern may end in `*`. The first matching rule decides who may join and send; without a matching rule, or if the
//! rule omits the action, all users may. The first matching rule with a durability decides that; without one, memory is
//! enough.

use jackfield_cluster::log::Durability;
use jackfield_shared::settings::SettingsError;

use crate::roles::Roles;

/// An action in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Join, and receive messages.
    Join,
    /// Send messages.
    Send,
}

/// All rules, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    pattern: String,
    join: Roles,
    send: Roles,
    durable: Option<Durability>,
}

impl Rules {
    /// Parses the configured rules.
    ///
    /// # Errors
    /// Names the invalid rule.
    pub(crate) fn parse(rules: &[String]) -> Result<Self, SettingsError> {
        let wrong = |rule: &str| {
            SettingsError::new(format!(
                "setting `rooms.rules`: `{rule}` must be pattern;join=ROLE+ROLE;send=ROLE;\
                 durable=memory, replica or disk"
            ))
        };
        rules.iter().map(|rule| Rule::parse(rule).ok_or_else(|| wrong(rule))).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a user with these roles may perform the action in the room.
    pub(crate) fn allow(&self, room: &str, action: Action, roles: &[Box<str>]) -> bool {
        let Some(rule) = self.0.iter().find(|rule| rule.matches(room)) else { return true };
        match action {
            Action::Join => rule.join.allow(roles),
            Action::Send => rule.send.allow(roles),
        }
    }

    /// The durability that a message must have before it is acknowledged in the room.
    pub(crate) fn durability(&self, room: &str) -> Durability {
        let matching = self.0.iter().filter(|rule| rule.matches(room));
        matching.filter_map(|rule| rule.durable).next().unwrap_or_default()
    }

    /// The patterns of the rules with this durability.
    pub(crate) fn with_durability(&self, durable: Durability) -> impl Iterator<Item = &str> {
        let rules = self.0.iter().filter(move |rule| rule.durable == Some(durable));
        rules.map(|rule| rule.pattern.as_str())
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let pattern = parts.next().filter(|pattern| !pattern.is_empty())?.to_owned();
        let mut rule = Self { pattern, join: Roles::default(), send: Roles::default(), durable: None };
        for part in parts {
            let (action, value) = part.split_once('=')?;
            match action.trim() {
                "join" => rule.join = Roles::parse(value),
                "send" => rule.send = Roles::parse(value),
                "durable" => rule.durable = Some(Durability::parse(value.trim())?),
                _ => return None,
            }
        }
        Some(rule)
    }

    fn matches(&self, room: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(prefix) => room.starts_with(prefix),
            None => room == self.pattern,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_matching_rule_decides() {
        let rules = Rules::parse(&["staff:*;join=ADMIN+SUPERUSER".into(), "news;send=ADMIN".into()]).unwrap();
        let (user, admin): (&[Box<str>], &[Box<str>]) = (&["USER".into()], &["ADMIN".into(), "USER".into()]);
        assert!(!rules.allow("staff:a", Action::Join, user) && rules.allow("staff:a", Action::Join, admin));
        assert!(rules.allow("staff:a", Action::Send, user));
        assert!(rules.allow("news", Action::Join, user) && !rules.allow("news", Action::Send, user));
        assert!(rules.allow("other", Action::Send, &[]));
        assert!(Rules::parse(&["x;may=ADMIN".into()]).is_err());
    }

    #[test]
    fn the_first_matching_rule_with_a_durability_decides_that() {
        let rules = ["pay:*;send=ADMIN", "pay:log;durable=disk", "pay:*; durable = replica", "*;durable=memory"];
        let rules = Rules::parse(&rules.map(String::from)).unwrap();
        assert_eq!(rules.durability("pay:log"), Durability::Disk);
        assert_eq!(rules.durability("pay:1"), Durability::Replica);
        assert_eq!((rules.durability("other"), Rules::default().durability("pay:1")), Default::default());
        assert!(!rules.allow("pay:1", Action::Send, &[]), "the rule for sending is the first");
        assert_eq!(rules.with_durability(Durability::Replica).collect::<Vec<_>>(), ["pay:*"]);
        assert_eq!(rules.with_durability(Durability::Disk).collect::<Vec<_>>(), ["pay:log"]);
        for wrong in ["x;durable=", "x;durable=Disk", "x;durable=replica+disk", "x;durable"] {
            let error = Rules::parse(&[wrong.into()]).unwrap_err().to_string();
            assert!(error.contains(wrong) && error.contains("durable=memory, replica or disk"), "{error}");
        }
    }
}
