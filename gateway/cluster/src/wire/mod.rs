//! The bus messages' encoding: [`message`] is the content, [`user_event`] the part of it that a user's log keeps, and
//! [`envelope`] puts the sender's trace span in front.

pub mod envelope;
pub mod message;
mod text;
pub mod user_event;

pub use self::{
    message::{BusMessage, EndSubscriptions, RosterPart},
    user_event::{InboxChange, UserEvent},
};
