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
use jackfield_shared::claims::Marks;
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

/// The `pid` of a socket: its record, and its public id. So a new socket in a record that exists has another one, and its
/// client does not take itself for recovered.
pub(super) fn pid(record: RecordId, socket: SocketId) -> String {
    format!("{record}{socket}")
}

fn parse_pid(pid: &str) -> Option<(RecordId, SocketId)> {
    let (record, socket) = pid.split_at_checked(pid.len() / 2)?;
    Some((RecordId::parse(record)?, SocketId::parse(socket)?))
}

/// The socket that a client comes back to.
pub(super) fn socket_of(resume: &Resume) -> Option<SocketId> {
    parse_pid(&resume.pid).map(|(_, socket)| socket)
}

/// The wish of a client that asks for recovery. `record` is the one that its connection has already.
pub(super) fn wish(namespace: &Arc<str>, auth: &ConnectAuth, record: Option<RecordId>, token: Marks) -> Wish {
    let resume = auth.resume.as_ref().and_then(|Resume { pid, offset }| {
        offset::Offset::parse(offset)?;
        parse_pid(pid).map(|(record, _)| record)
    });
    Wish {
        new: record.unwrap_or_else(RecordId::random),
        resume: resume.filter(|resume| record.is_none_or(|record| record == *resume)),
        namespace: Arc::clone(namespace),
        socket: SocketId::random(),
        token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_survives_its_text() {
        let (record, socket) = (RecordId::random(), SocketId::random());
        assert_eq!(parse_pid(&pid(record, socket)), Some((record, socket)));
        for other in ["", "x", "ä", &record.to_string(), &format!("{record}{socket}x"), "ä".repeat(20).as_str()] {
            assert_eq!(parse_pid(other), None, "{other}");
        }
    }
}
