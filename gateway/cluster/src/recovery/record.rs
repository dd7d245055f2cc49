//! The parts of a record.

use std::sync::Arc;

use jackfield_shared::claims::Marks;

use crate::ids::{RecordId, SessionId, SocketId};

/// The wish of a client that connects, to be recovered now or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The record that begins if the client is not recovered.
    pub new: RecordId,
    /// The record that the client comes back to.
    pub resume: Option<RecordId>,
    /// The namespace that the client joins.
    pub namespace: Arc<str>,
    /// The public id that the client gets if it is not recovered.
    pub socket: SocketId,
    /// The marks of the client's token.
    pub token: Marks,
}

/// The part of a record that is about one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The client's public id.
    pub socket: SocketId,
    /// The numbers of its stays, and the rooms, in no order.
    pub rooms: Vec<(u32, Arc<str>)>,
    /// The users whose presence it watches.
    pub watched: Vec<Arc<str>>,
    /// The session that the record belonged to.
    pub before: Option<SessionId>,
    /// The marks of the token with which the client connected.
    pub token: Marks,
}

/// A stay in a room, in a record.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The namespace of the socket and the room.
    pub namespace: &'a str,
    /// The stay's number.
    pub number: u32,
    /// The room.
    pub room: &'a str,
}
