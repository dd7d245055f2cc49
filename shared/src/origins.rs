//! Decides which web pages may talk to a service: those of the origins in `cors.origins`, and the service's own.

use std::collections::HashSet;

use axum::http::{HeaderMap, HeaderValue, header::HOST};
use parking_lot::Mutex;

/// Refused origins that are logged: bounded, because strangers choose them.
const MAX_LOGGED: usize = 100;
/// Characters of an origin in the log.
const MAX_SHOWN: usize = 256;

/// The allowed origins. A refusal is logged once per origin, for a bounded number of origins.
#[derive(Debug)]
pub struct AllowList {
    patterns: Vec<String>,
    logged: Mutex<HashSet<String>>,
}

impl AllowList {
    /// Allows the origins that match one of these patterns: see [`matches`](fn@matches).
    #[must_use]
    pub fn new(patterns: &[String]) -> Self {
        Self { patterns: patterns.to_vec(), logged: Mutex::default() }
    }

    /// Whether a page of this origin may make a request with these headers. A page may always talk to its own host.
    #[must_use]
    pub fn allows(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let origin = origin.to_str().unwrap_or("not readable");
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let allowed = is_own(origin, host) || self.patterns.iter().any(|pattern| matches(pattern, origin));
        if !allowed {
            self.log_refusal(origin);
        }
        allowed
    }

    fn log_refusal(&self, origin: &str) {
        let shown: String = origin.chars().take(MAX_SHOWN).collect();
        let logged = {
            let mut logged = self.logged.lock();
            if logged.len() > MAX_LOGGED || !logged.insert(shown.clone()) {
                return;
            }
            logged.len()
        };
        if logged > MAX_LOGGED {
            tracing::warn!("refused pages of more than {MAX_LOGGED} origins; further origins are not logged");
        } else {
            tracing::warn!(
                origin = shown,
                "refused a page of this origin; to allow it, add it to `cors.origins` (CORS_ORIGINS)"
            );
        }
    }
}

/// Whether the page came from the host that it talks to. The scheme is not compared: a proxy may terminate TLS.
fn is_own(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// Whether `origin` is `pattern`, in which each `*` stands for letters, digits, `-` and `.`, and after a `:` for digits (a
/// port), so never for another host.
#[must_use]
pub fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == origin,
        Some((before, after)) => origin.strip_prefix(before).is_some_and(|rest| {
            let is_port = before.ends_with(':');
            let plain = |c: char| c.is_ascii_digit() || (!is_port && (c.is_ascii_alphabetic() || c == '-' || c == '.'));
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
        assert!(!matches("http://localhost:*", "http://localhost:80.evil.example"));
        assert!(!matches("http://*:*", "http://localhost:80.evil.example"));
        assert!(matches("http://*:*", "http://localhost:80"));
        assert!(!matches("http://localhost:3000", "http://localhost:30001"));
        assert!(!matches("http://localhost:*", "null"));
    }

    #[test]
    fn a_page_may_always_call_its_own_host() {
        let list = AllowList::new(&["http://localhost:*".into()]);
        let allows = |origin: &'static str, host: &'static str| {
            let headers = [(HOST, HeaderValue::from_static(host))].into_iter().collect();
            list.allows(&HeaderValue::from_static(origin), &headers)
        };
        assert!(allows("http://localhost:5173", "chat.example.com"));
        assert!(allows("https://Chat.example.com", "chat.example.com"));
        assert!(allows("http://10.0.0.1:3000", "10.0.0.1:3000"));
        for origin in ["http://10.0.0.1:3001", "http://example.com", "null", "chat.example.com", ""] {
            assert!(!allows(origin, "10.0.0.1:3000"), "{origin}");
        }
    }

    #[test]
    fn the_log_of_refused_origins_is_bounded() {
        let list = AllowList::new(&[]);
        for number in 0..10 * MAX_LOGGED {
            let origin = HeaderValue::try_from(format!("http://{number}.{}", "x".repeat(1_000))).unwrap();
            assert!(!list.allows(&origin, &HeaderMap::new()));
        }
        assert_eq!(list.logged.lock().len(), MAX_LOGGED + 1);
        assert!(list.logged.lock().iter().all(|origin| origin.len() == MAX_SHOWN));
    }
}
