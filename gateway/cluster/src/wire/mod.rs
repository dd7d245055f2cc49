//! The bus messages' encoding: [`message`] is the content, [`user_event`] the part of it that a user's log keeps,
//! [`target`] names sockets and [`act`] says what to do with them, and [`envelope`] puts the sender's trace span in
//! front.

pub mod act;
pub mod envelope;
pub mod message;
pub mod target;
mod text;
pub mod user_event;

pub use self::{
    act::{Act, Ask, Command, End, Found, Reply},
    message::{BusMessage, EndSubscriptions, RosterPart},
    target::{Selector, Target},
    user_event::{InboxChange, UserEvent},
};
