//! Names of events or facts, each with an optional `*` at its end. Pure.

use std::fmt;

/// Most characters of a name that a pattern matches, and of a pattern.
pub(crate) const MAX_NAME: usize = 128;
/// Names that Socket.IO's clients use for their own events: an application cannot send or receive them.
pub(crate) const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// See the module. Matches nothing if empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Patterns(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(Box<str>),
    Prefix(Box<str>),
}

impl Patterns {
    /// Parses `name+prefix*`.
    ///
    /// # Errors
    /// Says what is wrong, without the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split('+').map(|one| Pattern::parse(one.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a pattern matches this name. Names of Socket.IO's own and overlong ones match none.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let is_name = !RESERVED.contains(&name) && !is_longer(name, MAX_NAME);
        is_name && self.0.iter().any(|pattern| pattern.matches(name))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns without a `*`.
    pub(super) fn exact(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|pattern| match pattern {
            Pattern::Exact(name) => Some(&**name),
            Pattern::Prefix(_) => None,
        })
    }

    /// Each pattern as it was configured.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || is_longer(text, MAX_NAME) || text.contains(char::is_control) {
            return Err(format!("a name must have 1 to {MAX_NAME} characters"));
        }
        match text.strip_suffix('*') {
            Some(prefix) if !prefix.contains('*') => Ok(Self::Prefix(prefix.into())),
            None if !text.contains('*') => Ok(Self::Exact(text.into())),
            _ => Err("`*` is allowed at the end of a name only".into()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

fn is_longer(text: &str, characters: usize) -> bool {
    text.len() > characters && text.chars().nth(characters).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_at_the_end_matches_any_rest() {
        let patterns = Patterns::parse("order:* + cart:add").unwrap();
        for (name, matches) in [
            ("order:", true),
            ("order:create", true),
            ("order", false),
            ("cart:add", true),
            ("cart:added", false),
            ("", false),
        ] {
            assert_eq!(patterns.matches(name), matches, "{name}");
        }
        assert_eq!(patterns.texts(), ["order:*", "cart:add"]);
        assert_eq!(patterns.exact().collect::<Vec<_>>(), ["cart:add"]);
        let all = Patterns::parse("*").unwrap();
        assert!(all.matches("x") && all.matches(&"é".repeat(MAX_NAME)));
        assert!(!all.matches("disconnect") && !all.matches(&"x".repeat(MAX_NAME + 1)));
        assert!(!Patterns::default().matches("x"));
    }

    #[test]
    fn invalid_patterns_are_refused() {
        for bad in ["", "a+", "a*b", "**", "*a", "a\nb", &"x".repeat(129)] {
            assert!(Patterns::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_it_says(prefix in "[a-c:]{0,4}", name in "[a-c:]{1,6}") {
            let starred = Patterns::parse(&format!("{prefix}*")).unwrap();
            prop_assert_eq!(starred.matches(&name), name.starts_with(&prefix));
            let exact = Patterns::parse(&name).unwrap();
            prop_assert_eq!(exact.matches(&prefix), prefix == name);
        }

        #[test]
        fn any_text_parses_without_panic_and_prints_itself(text in "\\PC{0,40}") {
            if let Ok(patterns) = Patterns::parse(&text) {
                prop_assert_eq!(Patterns::parse(&patterns.texts().join("+")), Ok(patterns));
            }
        }
    }
}
