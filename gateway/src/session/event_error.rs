//! The errors that answer an event.

use std::time::Duration;

use jackfield_cluster::Unavailable;
use serde::Serialize;

use crate::{limits::millis_up, metrics, room::HistoryError};

/// Most characters of an event's name in an error.
const MAX_NAME: usize = 64;

/// Why an event was refused or failed. The codes are the contract; the texts may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventError {
    /// The payload is invalid; the text names the field.
    #[error("{0}")]
    Validation(String),
    /// Only members of the room may do this.
    #[error("You are not in the room {0}")]
    NotInRoom(String),
    /// The socket is in `limits.rooms` rooms already.
    #[error("at most {max} rooms per socket")]
    TooManyRooms {
        /// Rooms.
        max: usize,
    },
    /// The client is not allowed to do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The client reached a rate limit.
    #[error("Too many events")]
    RateLimited {
        /// Milliseconds until the next one may pass.
        retry_after_ms: u64,
    },
    /// Longer than `limits.payload`.
    #[error("at most {max} bytes per event")]
    PayloadTooLarge {
        /// Bytes.
        max: usize,
    },
    /// No such event.
    #[error("No such event")]
    UnknownEvent,
    /// A hook refused the event, with its own code and text.
    #[error("{message}")]
    Rejected {
        /// As the gateway's own codes.
        code: String,
        /// For people.
        message: String,
    },
    /// Redis or a hook did not answer in time: the event may or may not have taken effect.
    #[error("Temporarily unavailable, try again")]
    Unavailable,
    /// A bug; the id is in the logs.
    #[error("Unexpected error; see {id} in the server's logs")]
    Internal {
        /// The id in the logs.
        id: String,
    },
}

impl From<Unavailable> for EventError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<HistoryError> for EventError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Unavailable(unavailable) => unavailable.into(),
            wrong => Self::Validation(wrong.to_string()),
        }
    }
}

/// A rate limit was reached: the time to wait.
impl From<Duration> for EventError {
    fn from(wait: Duration) -> Self {
        metrics::RATE_LIMITED.add(1);
        Self::RateLimited { retry_after_ms: millis_up(wait) }
    }
}

/// The error as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body<'a> {
    status: &'static str,
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
}

impl EventError {
    /// The stable code, for programs.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Rejected { code, .. } => code,
            other => other.label(),
        }
    }

    /// The code in metrics: `rejected` for all codes of hooks.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Rejected { .. } => "rejected",
            Self::Validation(_) => "validation_failed",
            Self::NotInRoom(_) => "not_in_room",
            Self::TooManyRooms { .. } => "too_many_rooms",
            Self::Forbidden(_) => "forbidden",
            Self::RateLimited { .. } => "rate_limited",
            Self::PayloadTooLarge { .. } => "payload_too_large",
            Self::UnknownEvent => "unknown_event",
            Self::Unavailable => "unavailable",
            Self::Internal { .. } => "internal",
        }
    }

    /// The body of an acknowledgement, or of an `error` event, which also names the event.
    pub(crate) fn body(&self, event: Option<&str>) -> Body<'_> {
        let retry_after_ms = match self {
            Self::RateLimited { retry_after_ms } => Some(*retry_after_ms),
            _ => None,
        };
        let event = event.map(|name| name.chars().take(MAX_NAME).collect());
        Body { status: "error", code: self.code(), message: self.to_string(), retry_after_ms, event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_metric_label() {
        let text = String::new;
        let errors = [
            EventError::Validation(text()),
            EventError::NotInRoom(text()),
            EventError::TooManyRooms { max: 1 },
            EventError::Forbidden(""),
            EventError::RateLimited { retry_after_ms: 1 },
            EventError::PayloadTooLarge { max: 1 },
            EventError::UnknownEvent,
            EventError::Rejected { code: "any".into(), message: text() },
            EventError::Unavailable,
            EventError::Internal { id: text() },
        ];
        for error in errors {
            assert!(metrics::OUTCOMES.contains(&error.label()), "{}", error.label());
        }
    }
}
