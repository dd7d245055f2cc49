//! Stored messages as JSON text. The log assigns the id, so it stores them without it; this module puts the id in
//! front.

use std::fmt::{self, Write as _};

use jackfield_cluster::{
    log::{Position, Stored},
    room_name::RoomName,
};
use jackfield_engine::Frame;
use jackfield_shared::time::now_rfc3339;
use serde::Serialize;

/// Most characters in a message.
pub(crate) const MAX_CONTENT: usize = 1_000;

/// The author of a message, as clients see it.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Author<'a> {
    /// The user's id.
    pub(crate) id: &'a str,
    /// The name that clients show.
    pub(crate) name: &'a str,
}

/// The sender of messages from backends. No user has this id: a token that claims it is refused.
pub(crate) const SYSTEM: Author<'_> = Author { id: "system", name: "System" };

/// The text that the log stores for a message that is sent now.
pub(crate) fn message_body<T: Serialize + ?Sized>(room: &str, content: &T, sender: Author<'_>) -> String {
    #[derive(Serialize)]
    struct Message<'a, T: ?Sized> {
        room: &'a str,
        content: &'a T,
        sender: Author<'a>,
        timestamp: &'a str,
    }
    let message = Message { room, content, sender, timestamp: &now_rfc3339() };
    // Text always serializes.
    let mut json = serde_json::to_string(&message).unwrap_or_default();
    json.drain(..json.len().min(1));
    json
}

/// One message: `{"id":"…",<body>`.
struct Object<'a>(Position, &'a str);

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"id\":\"{}\",{}", self.0, self.1)
    }
}

/// A message as a member gets it live.
pub(super) fn new_message(room: &RoomName, position: Position, body: &str) -> Frame {
    Frame::event_json(&room.namespace, "new-message", Object(position, body))
}

/// Messages: `[{…},{…}]`.
pub(crate) fn array(messages: &[Stored]) -> String {
    let mut json = String::with_capacity(messages.iter().map(|stored| stored.body.len() + 40).sum::<usize>() + 2);
    json.push('[');
    for (index, stored) in messages.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let message = Object(stored.position, &stored.body);
        // Writing to a String cannot fail.
        let _ = write!(json, "{comma}{message}");
    }
    json.push(']');
    json
}
