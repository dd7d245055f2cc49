//! Rooms on this node: each has members, a cursor in the room's log, and one task that admits and delivers in order.
//!
//! Guarantees: a member gets every stored message after the position in its join's answer, once, in the log's order, or
//! a `room-reset` if the log began a new epoch or no longer keeps the missed messages. A join causes neither a gap nor a
//! duplicate, because one task both admits and delivers. Messages missed on the bus are read from the log. A member that
//! does not read is disconnected and delays no other member. Deliberately does not decide which users may join or send:
//! the event handlers check [`rules`].
//!
//! A join: [`registry`] finds the room, its [`mailbox`] takes the request, its [`task`] admits the socket ([`enter`],
//! [`join`]) with messages from memory ([`recent`], [`window`], [`budget`]) or from the log. A message: [`registry`]
//! stores it, and the task delivers it when the log follower calls it.

mod budget;
mod enter;
mod history;
mod join;
mod mailbox;
mod messages;
mod recent;
mod registry;
pub(crate) mod rules;
mod stopwatch;
mod task;
mod window;

pub(crate) use self::{
    history::{HistoryError, history},
    join::{JoinError, Joined, Joining, Occupant},
    mailbox::Room,
    messages::{Author, MAX_CONTENT, SYSTEM, array, message_body},
    registry::Rooms,
};
