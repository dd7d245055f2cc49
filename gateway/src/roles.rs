//! Permission by role. Pure.

/// The users that have one of these roles, or all users.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roles(Option<Vec<String>>);

impl Roles {
    /// Parses `ROLE+ROLE`, or `*` for all users.
    pub(crate) fn parse(text: &str) -> Self {
        Self((text != "*").then(|| text.split('+').map(|role| role.trim().to_owned()).collect()))
    }

    /// Allows no user, whatever the roles.
    pub(crate) fn nobody() -> Self {
        Self(Some(Vec::new()))
    }

    /// Whether a user with these roles is allowed.
    pub(crate) fn allow(&self, roles: &[Box<str>]) -> bool {
        self.0.as_ref().is_none_or(|wanted| roles.iter().any(|role| wanted.iter().any(|other| **other == **role)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_matching_role_is_enough() {
        let admin: &[Box<str>] = &["USER".into(), "ADMIN".into()];
        assert!(Roles::parse("SUPERUSER + ADMIN").allow(admin) && !Roles::parse("SUPERUSER").allow(admin));
        assert!(Roles::parse("*").allow(&[]) && Roles::default().allow(&[]) && !Roles::parse("ADMIN").allow(&[]));
        assert!(!Roles::nobody().allow(admin) && !Roles::parse("").allow(admin));
    }
}
