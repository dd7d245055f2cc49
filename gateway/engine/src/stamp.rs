//! The `t` parameter of a request, by which clients make the URL of each poll and POST unique.
//!
//! A balancer, or a browser, repeats a request whose connection broke, and has lost the first answer: the packets in it
//! would be missing unnoticed. A repeated request has the `t` of the one before. Clients that send no `t` are not
//! protected, unless the balancer adds one.

use axum::http::Uri;

/// Longer ones are as none.
const MAX: usize = 64;

/// A request's `t`.
#[must_use]
pub fn stamp(uri: &Uri) -> Option<Box<str>> {
    let query = uri.query().unwrap_or_default();
    let (_, value) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "t")?;
    (1..=MAX).contains(&value.len()).then(|| value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_stamps_are_read() {
        let of = |query: &str| stamp(&format!("/socket.io/?{query}").parse().unwrap());
        assert_eq!(of("EIO=4&t=PfE3.0&sid=x").as_deref(), Some("PfE3.0"));
        assert_eq!(of("t=a%20b").as_deref(), Some("a b"));
        assert_eq!(of(&format!("t={}", "x".repeat(64))).map(|stamp| stamp.len()), Some(64));
        for none in ["", "EIO=4", "t=", "tt=1", &format!("t={}", "x".repeat(65))] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
