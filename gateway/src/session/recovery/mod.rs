//! Recovery of a socket whose client asked for it: a stock client that comes back is who it was, in the rooms that it was
//! in, and gets what it missed.
//!
//! [`tracked`]: what a socket was sent · [`offset`]: the text by which its client says what it has handled · [`restore`]:
//! the way back. Guarantees: a client that is told that it was recovered has missed no stored message of its rooms and no
//! event of its user's log, and gets none twice; a client that cannot be recovered gets a new record and no rooms, and no
//! error. Deliberately covers nothing that is not stored.

mod offset;
mod restore;
mod tracked;

use std::sync::Arc;

use jackfield_cluster::{
    ids::{RecordId, SocketId},
    recovery::Wish,
};
use parking_lot::Mutex;

pub(super) use self::{
    offset::Json,
    restore::{Returning, restore},
    tracked::Tracked,
};
use super::connect_auth::{ConnectAuth, Resume};

/// The part of a socket that can be recovered.
pub(super) struct Recoverable {
    pub(super) record: RecordId,
    pub(super) tracked: Mutex<Tracked>,
}

impl Recoverable {
    pub(super) fn new(record: RecordId, tracked: Tracked) -> Box<Self> {
        Box::new(Self { record, tracked: Mutex::new(tracked) })
    }
}

/// The wish of a client that asks for recovery. `record` is the one that its connection has already.
pub(super) fn wish(namespace: &Arc<str>, auth: &ConnectAuth, record: Option<RecordId>) -> Wish {
    let resume = auth.resume.as_ref().and_then(|Resume { pid, offset }| {
        offset::Offset::parse(offset)?;
        RecordId::parse(pid)
    });
    Wish {
        new: record.unwrap_or_else(RecordId::random),
        resume: resume.filter(|resume| record.is_none_or(|record| record == *resume)),
        namespace: Arc::clone(namespace),
        socket: SocketId::random(),
    }
}
