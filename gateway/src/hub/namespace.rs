//! One namespace's members on this node.

use std::sync::Arc;

use parking_lot::RwLock;
use slab::Slab;

use crate::{
    client::Client,
    engine::{Frame, Full, record_write},
    ops::metrics,
};

/// Members that a frame is sent to before the task yields.
const BATCH: usize = 1_024;

/// The key of a member in its namespace.
pub type MemberKey = usize;

/// A socket in the namespace.
pub type Member = Arc<Client>;

/// See the module.
pub struct Namespace {
    /// Begins with `/`.
    pub name: Arc<str>,
    members: RwLock<Slab<Member>>,
}

impl Namespace {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), members: RwLock::default() }
    }

    /// Adds a member.
    pub fn join(&self, member: Member) -> MemberKey {
        self.members.write().insert(member)
    }

    /// Removes a member.
    pub fn leave(&self, key: MemberKey) -> Option<Member> {
        self.members.write().try_remove(key)
    }

    /// How many members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.read().len()
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members' public ids, or `None` if there are more than `max`.
    #[must_use]
    pub fn socket_ids(&self, max: usize) -> Option<Vec<Arc<str>>> {
        let members = self.members.read();
        (members.len() <= max).then(|| members.iter().map(|(_, member)| Arc::clone(&member.id)).collect())
    }

    /// Sends a frame to every member. Await each call before the next, to keep the order.
    pub async fn fan_out(&self, frame: &Frame) {
        record_write(frame, self.members.read().iter().rev().map(|(_, member)| member.outbox()));
        let mut start = 0;
        let mut slow = Vec::new();
        loop {
            let mut sent = 0;
            let end = {
                let members = self.members.read();
                let end = (start + BATCH).min(members.capacity());
                for member in (start..end).filter_map(|key| members.get(key)) {
                    sent += 1;
                    if member.outbox().send(frame) == Err(Full) {
                        slow.push(Arc::clone(member));
                    }
                }
                if end == members.capacity() { None } else { Some(end) }
            };
            metrics::DELIVERIES.add(sent);
            for member in slow.drain(..) {
                member.too_slow();
            }
            match end {
                Some(end) => start = end,
                None => return,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Sends a frame to those of these members that are still in the namespace.
    pub fn send_to(&self, keys: impl Iterator<Item = MemberKey>, frame: &Frame) {
        let members: Vec<Member> = {
            let members = self.members.read();
            keys.filter_map(|key| members.get(key).cloned()).collect()
        };
        metrics::DELIVERIES.add(members.len());
        for member in members {
            member.send(frame);
        }
    }
}
