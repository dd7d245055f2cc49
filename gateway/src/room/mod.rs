//! Rooms on this node: each has members, a cursor in the room's log, and a worker that admits and delivers in order.
//!
//! Guarantees: a member gets every stored message after the position in its join's answer, once, in the log's order, or
//! a `room-reset` if the log began a new epoch or no longer keeps the missed messages. A join causes neither a gap nor
//! a duplicate, because one worker both admits and delivers. Messages missed on the bus are read from the log. A member
//! that does not read is disconnected and delays no other member. Deliberately does not decide which users may join or
//! send: the event handlers check [`rules`].
//!
//! No room has a task: [`turns`] lets a room's worker handle an input at once, and the worker rests in the room's
//! [`mailbox`] in between.
//!
//! A join: [`registry`] finds the room's [`handle`], and its [`worker`] admits the socket ([`enter`], [`join`]) with
//! messages from memory ([`recent`], [`window`], [`budget`]) or from the log. A message: [`registry`]
//! stores it, and the worker delivers it when the log follower calls it.

mod back_end;
mod budget;
mod enter;
mod handle;
mod history;
mod join;
mod mailbox;
#[cfg(test)]
mod mailbox_tests;
mod messages;
mod recent;
mod registry;
pub(crate) mod rules;
mod signals;
mod stopwatch;
mod sync;
mod turns;
mod window;
mod worker;

pub(crate) use self::{
    handle::Room,
    history::{HistoryError, MAX_PAGE, history},
    join::{JoinError, Joined, Joining, Occupant},
    messages::{Author, MAX_CONTENT, SYSTEM, array, message_body},
    registry::Rooms,
};
