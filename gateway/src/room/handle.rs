//! The handle of a room: its name, and its mailbox.

use std::sync::Arc;

use jackfield_cluster::room_name::RoomName;

use super::{
    mailbox::Mailbox,
    signals::Signals,
    worker::{Input, Worker},
};
use crate::hub::Group;

/// A room with members on this node. Cheap to clone.
pub(crate) struct Room<M>(Arc<Inner<M>>);

struct Inner<M> {
    name: RoomName,
    signals: Arc<Signals>,
    members: Arc<Group<M>>,
    mailbox: Mailbox<Worker<M>, Input<M>>,
}

impl<M> Room<M> {
    pub(super) fn new(name: RoomName, signals: Arc<Signals>, worker: Worker<M>) -> Self {
        let members = Arc::clone(&worker.local.members);
        Self(Arc::new(Inner { name, signals, members, mailbox: Mailbox::new(worker) }))
    }

    pub(crate) fn name(&self) -> &RoomName {
        &self.0.name
    }

    /// The members on this node. Only the worker changes them.
    pub(crate) fn members(&self) -> &Group<M> {
        &self.0.members
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.0.signals
    }

    pub(super) fn mailbox(&self) -> &Mailbox<Worker<M>, Input<M>> {
        &self.0.mailbox
    }

    /// Whether it has stored messages, as far as this node knows.
    pub(crate) fn is_begun(&self) -> bool {
        self.0.signals.is_begun()
    }
}

// A derived one would require `M: Clone`.
impl<M> Clone for Room<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
