//! Rooms on this node: each has members, a cursor in the room's log, and one task that admits and delivers in order.
//!
//! Guarantees: a member gets every stored message after the position in its join's answer, once, in the log's order, or
//! a `room-reset` when the log began anew or no longer keeps the missed ones. A join causes neither a gap nor a
//! duplicate, because one task both admits and delivers. Messages missed on the bus are read from the log. A member
//! that does not read is closed and delays nobody. Deliberately does not decide which users may join or send: see
//! [`rules`].

mod budget;
mod cursor;
mod enter;
mod history;
mod join;
mod messages;
mod recent;
mod registry;
pub mod rules;
mod stopwatch;
mod task;
mod window;

pub(crate) use self::cursor::{Cursor, Live, Read};
pub use self::{
    history::{HistoryError, history},
    join::{JoinError, Joined, Joining},
    messages::{MAX_CONTENT, SYSTEM, Sender, array, message_body, object},
    registry::{Room, Rooms},
};
