//! Sends one fact to a hook.

use std::sync::Arc;

use bytes::Bytes;
use jackfield_cluster::facts::Fact;
use jackfield_shared::trace::{Span, note, within};

use super::{body::body, courier::Outcome};
use crate::hook::{CallError, Hook};

/// Sends a fact, once.
pub(super) async fn send(hook: &Arc<Hook>, fact: &Fact) -> Outcome {
    // Text always serializes.
    let json = body(fact).and_then(|body| serde_json::to_vec(&body).ok()).unwrap_or_default();
    let id = fact.id.to_string();
    let span = Span::begin(|| format!("fact {}", fact.kind.as_str()).into());
    let span = span.map(|span| span.with("fact.id", id.clone()).with("hook", hook.name.to_string()));
    let sending = async {
        let outcome = match hook.call(&id, Bytes::from(json)).await {
            Ok(answer) => of_status(answer.status),
            Err(error) => of_error(&error),
        };
        if outcome != Outcome::Delivered {
            note("error.type", "not_delivered");
        }
        outcome
    };
    within(span, sending).await
}

fn of_status(status: u16) -> Outcome {
    let reason = || format!("status_{status}").into();
    match status {
        200..=299 => Outcome::Delivered,
        429 | 502..=504 => Outcome::Down(reason()),
        500..=599 => Outcome::Failed(reason()),
        _ => Outcome::Refused(reason()),
    }
}

fn of_error(error: &CallError) -> Outcome {
    match error {
        CallError::TooMany | CallError::Stopping => Outcome::NotSent,
        CallError::BreakerOpen => Outcome::Down("breaker_open".into()),
        CallError::Unreachable(_) => Outcome::Down("unreachable".into()),
        CallError::Timeout => Outcome::Failed("timeout".into()),
        CallError::BadAnswer(_) => Outcome::Failed("bad_answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_the_fact_or_the_hook_fails() {
        for delivered in [200, 204, 299] {
            assert_eq!(of_status(delivered), Outcome::Delivered);
        }
        for refused in [100, 301, 400, 401, 404, 410, 422] {
            assert_eq!(of_status(refused), Outcome::Refused(format!("status_{refused}").into()));
        }
        assert!(matches!(of_status(500), Outcome::Failed(_)));
        for down in [429, 502, 503, 504] {
            assert!(matches!(of_status(down), Outcome::Down(_)));
        }
    }
}
