//! Stored messages as JSON text: the log keeps all but the id, which only the log knows, and the id is put in front.

use std::fmt::Write as _;

use crate::cluster::log::{Page, Position, Stored};

/// One message: `{"id":"…",<body>`.
#[must_use]
pub fn object(position: Position, body: &str) -> String {
    format!("{{\"id\":\"{position}\",{body}")
}

/// Messages of a page: `[{…},{…}]`.
#[must_use]
pub fn array(page: &Page, messages: &[Stored]) -> String {
    let mut json = String::with_capacity(messages.iter().map(|stored| stored.body.len() + 40).sum::<usize>() + 2);
    json.push('[');
    for (index, stored) in messages.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let position = Position { number: stored.number, ..page.end };
        // Writing to a String cannot fail.
        let _ = write!(json, "{comma}{{\"id\":\"{position}\",{}", stored.body);
    }
    json.push(']');
    json
}
