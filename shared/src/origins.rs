//! Which browsers' pages may talk to a service: patterns of origins, as `cors.origins` lists them.

/// Whether `origin` is `pattern`, in which each `*` stands for letters, digits, `-` and `.`, so never for another host.
#[must_use]
pub fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((before, after)) => origin.strip_prefix(before).is_some_and(|rest| {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            let most = rest.find(|c| !plain(c)).unwrap_or(rest.len());
            (0..=most).any(|length| matches(after, &rest[length..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_never_crosses_into_another_host() {
        assert!(matches("http://localhost:*", "http://localhost:5173"));
        assert!(matches("https://*.example.com", "https://a.b.example.com"));
        assert!(!matches("https://*.example.com", "https://evil.com/.example.com"));
        assert!(!matches("http://localhost:*", "http://localhost:1@evil.com"));
        assert!(!matches("http://localhost:3000", "http://localhost:30001"));
        assert!(!matches("http://localhost:*", "null"));
    }
}
