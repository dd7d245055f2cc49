//! `echo`: the acknowledgement is what was sent. For measuring the way there and back; nobody else hears it.

use serde_json::Value;

use super::{EventError, parse::Event};

pub(super) fn handle(event: &Event<'_>) -> Result<Value, EventError> {
    event.data()
}
