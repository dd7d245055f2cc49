//! The events about users' presence in the main namespace.

use chrono::DateTime;
use jackfield_engine::Frame;
use jackfield_shared::time::rfc3339;
use serde_json::json;

use super::MAIN;

/// A change of a user's presence in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PresenceChange {
    /// The first session began.
    Online,
    /// The last session has been gone for the grace.
    Offline,
}

/// The event that announces the change; `at` is in Unix milliseconds.
pub(crate) fn announcement(change: PresenceChange, at: i64, user: &str) -> Option<Frame> {
    let event = match change {
        PresenceChange::Online => "user:online",
        PresenceChange::Offline => "user:offline",
    };
    let timestamp = DateTime::from_timestamp_millis(at).map(rfc3339);
    Frame::event(MAIN, event, &json!({ "userId": user, "timestamp": timestamp }))
}
