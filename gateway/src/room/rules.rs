//! The roles that may join and send, by pattern of a room's name. Pure.
//!
//! A rule is text: `<pattern>;join=<roles>;send=<roles>`, roles separated by `+`, `*` for all users; a pattern may end in
//! `*`. The first matching rule decides. Without a matching rule, or if the rule omits the action, all users may.

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
}

impl Rules {
    /// Parses the configured rules.
    ///
    /// # Errors
    /// Names the invalid rule.
    pub(crate) fn parse(rules: &[String]) -> Result<Self, SettingsError> {
        let wrong = |rule: &str| {
            SettingsError::new(format!("setting `rooms.rules`: `{rule}` must be pattern;join=ROLE+ROLE;send=ROLE"))
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
}

impl Rule {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let pattern = parts.next().filter(|pattern| !pattern.is_empty())?.to_owned();
        let mut rule = Self { pattern, join: Roles::default(), send: Roles::default() };
        for part in parts {
            let (action, roles) = part.split_once('=')?;
            match action.trim() {
                "join" => rule.join = Roles::parse(roles),
                "send" => rule.send = Roles::parse(roles),
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
}
