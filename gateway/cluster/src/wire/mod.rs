//! The bus messages' encoding: [`message`] is the content, [`envelope`] puts the sender's trace span in front.

pub mod envelope;
pub mod message;

pub use self::message::{BusMessage, EndSubscriptions, InboxChange, RosterPart};
