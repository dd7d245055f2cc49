//! What nodes send each other over the bus: [`message`] is the content, [`envelope`] puts the sender's trace before it.

pub mod envelope;
pub mod message;

pub use self::message::{BusMessage, EndSubscriptions, InboxChange, RosterPart};
