//! The rules for email addresses, passwords and names. Pure functions, used by the requests' validation.
//!
//! Each message continues the name of its field, as in class-validator: "email must be an email".

use garde::rules::email::parse_email;

const EMAIL_MAX: usize = 254;
const PASSWORD_MIN: usize = 6;
const PASSWORD_MAX: usize = 50;
const NAME_MAX: usize = 100;
/// In lower case, without invisible characters. Gateways send as "System".
const RESERVED_NAMES: [&str; 1] = ["system"];

/// An email address as it is stored, compared and rate-limited: without surrounding blanks, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Normalises a typed address. [`check_email`] checks whether it is valid.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        Self(typed.trim().to_lowercase())
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A valid email address; surrounding blanks are allowed.
///
/// # Errors
/// The error message says what is wrong.
pub fn check_email(typed: &str, _: &()) -> garde::Result {
    let email = Email::new(typed);
    let good = email.as_str().len() <= EMAIL_MAX && parse_email(email.as_str()).is_ok();
    require(good, "must be an email")
}

/// At least 6 characters.
///
/// # Errors
/// The error message says what is wrong.
pub fn check_password_min_length(password: &str, _: &()) -> garde::Result {
    require(password.chars().count() >= PASSWORD_MIN, "must be longer than or equal to 6 characters")
}

/// At most 50 characters.
///
/// # Errors
/// The error message says what is wrong.
pub fn check_password_max_length(password: &str, _: &()) -> garde::Result {
    require(password.chars().count() <= PASSWORD_MAX, "must be shorter than or equal to 50 characters")
}

/// An upper-case letter, a lower-case letter, and a character that is not a letter.
///
/// # Errors
/// The error message says what is wrong.
pub fn check_password_variety(password: &str, _: &()) -> garde::Result {
    let has = |kind: fn(char) -> bool| password.chars().any(kind);
    let good = has(char::is_uppercase) && has(char::is_lowercase) && has(|c| !c.is_alphabetic());
    require(good, "must have an upper-case letter, a lower-case letter, and a digit or a symbol")
}

/// 1 to 100 characters, at least one of them visible, and none that controls the layout of text: such a name could look
/// like another user's, or reverse the text around it. Reserved names are refused.
///
/// # Errors
/// The error message says what is wrong.
pub fn check_full_name(typed: &str, _: &()) -> garde::Result {
    let visible = |c: &char| !c.is_whitespace() && !is_invisible(*c);
    require(typed.chars().any(|c| visible(&c)), "must be longer than or equal to 1 characters")?;
    require(typed.chars().count() <= NAME_MAX, "must be shorter than or equal to 100 characters")?;
    // Besides, Postgres cannot store a NUL.
    require(!typed.chars().any(|c| c.is_control() || is_layout(c)), "must not contain control characters")?;
    let shown: String = typed.chars().filter(visible).flat_map(char::to_lowercase).collect();
    require(!RESERVED_NAMES.contains(&shown.as_str()), "must not be a reserved name")
}

/// Changes the direction of text, or ends its line: Unicode's bidi controls and separators.
fn is_layout(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// Is not drawn by itself, or is drawn as blank space. Some are joiners, which names need.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn require(good: bool, message: &str) -> garde::Result {
    if good { Ok(()) } else { Err(garde::Error::new(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn password(text: &str) -> bool {
        [check_password_min_length, check_password_max_length, check_password_variety]
            .iter()
            .all(|rule| rule(text, &()).is_ok())
    }

    #[test]
    fn passwords() {
        for good in ["P44sw0rd", "Abcde!", "Abcde 1", "Ñandú_1"] {
            assert!(password(good), "{good}");
        }
        for bad in ["test123", "Abc1", "abcdef1", "ABCDEF1", "Abcdefg", &format!("Aa1{}", "x".repeat(48))] {
            assert!(!password(bad), "{bad}");
        }
        assert!(password(&format!("Aa1{}", "ñ".repeat(47))), "characters count, not bytes");
    }

    #[test]
    fn emails() {
        for good in ["test1@mail.com", "  Test1@Mail.COM ", "a+b@localhost"] {
            assert!(check_email(good, &()).is_ok(), "{good}");
        }
        for bad in ["", "a", "@b.c", "a@", "a b@c.d", "a@b@c.d", "a\0@b.c", &format!("a@{}com", "b.".repeat(130))] {
            assert!(check_email(bad, &()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(check_full_name(" Ann ", &()).is_ok());
        assert!(check_full_name(&"ñ".repeat(100), &()).is_ok());
        assert!(check_full_name("   ", &()).is_err());
        assert!(check_full_name(&"x".repeat(101), &()).is_err());
        assert!(check_full_name("a\0b", &()).is_err());
        assert!(check_full_name("Ann\n", &()).is_err(), "blanks that are control characters, too");
    }

    #[test]
    fn deceptive_names() {
        for good in ["Zoë \u{1f469}\u{200d}\u{1f4bb}", "می\u{200c}خواهم", "Systema", "A System", "ᄒᆞᆫ"] {
            assert!(check_full_name(good, &()).is_ok(), "{good}");
        }
        for layout in ["Ann \u{202e}nimdA", "a\u{200f}b", "a\u{2066}b\u{2069}", "a\u{2028}b"] {
            assert!(check_full_name(layout, &()).is_err(), "{layout:?}");
        }
        for unseen in ["\u{200b}", "\u{200d}\u{feff} ", "\u{3164}", "\u{ad}", "\u{e0041}", "\u{2800}"] {
            assert!(check_full_name(unseen, &()).is_err(), "{unseen:?}");
        }
        for system in ["System", " system ", "SYS\u{200b}TEM", "s y s t e m"] {
            assert!(check_full_name(system, &()).is_err(), "{system:?}");
        }
    }

    proptest! {
        #[test]
        fn spellings_of_one_address_are_equal(
            user in "[a-zA-Z0-9.+_-]{1,20}", domain in "[a-zA-Z0-9]{1,10}(\\.[a-zA-Z0-9]{1,10}){0,3}",
            before in "[ \t\r\n]{0,3}", after in "[ \t\r\n]{0,3}",
        ) {
            let plain = format!("{user}@{domain}");
            let typed = format!("{before}{plain}{after}");
            prop_assert!(check_email(&typed, &()).is_ok());
            prop_assert_eq!(Email::new(&typed), Email::new(&plain.to_uppercase()));
        }

        #[test]
        fn normalising_twice_is_normalising_once(typed in any::<String>()) {
            let once = Email::new(&typed);
            prop_assert_eq!(Email::new(once.as_str()), once);
        }

        #[test]
        fn a_valid_address_satisfies_the_database(typed in any::<String>()) {
            if check_email(&typed, &()).is_ok() {
                let email = Email::new(&typed);
                prop_assert!(email.as_str().is_ascii());
                prop_assert_eq!(email.as_str().to_ascii_lowercase(), email.as_str());
            }
        }

        #[test]
        fn a_password_passes_exactly_when_each_rule_holds(text in "[a-cA-C0-2!_ ]{0,60}") {
            let long = (6..=50).contains(&text.len());
            let varied = text.contains(|c: char| c.is_ascii_uppercase())
                && text.contains(|c: char| c.is_ascii_lowercase())
                && text.contains(|c: char| !c.is_ascii_alphabetic());
            prop_assert_eq!(password(&text), long && varied);
        }
    }
}
