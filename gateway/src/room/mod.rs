//! Rooms on this node: each has members here, a cursor in the room's log, and one task that does both in order.
//!
//! Guarantees: a member gets every stored message after the position that its join was answered with, once, in the log's
//! order, or is told that the log began anew; joining leaves neither a hole nor a double, because the one task that
//! delivers is the one that lets in; what was missed on the bus is read from the log. A member that does not read is
//! closed and nobody waits for it. Deliberately knows nothing of who may join or send: see [`rules`].

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
