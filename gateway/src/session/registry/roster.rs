//! The list of sockets in the main namespace in the whole cluster: each node's part, and the messages that are due.
//!
//! Every node announces its own part when it changes, and sends its members the whole: the list up to `roster.max`
//! sockets, above that only the count, because a list costs n². The parts of dead nodes are removed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jackfield_cluster::{
    bus::Channel,
    ids::{Incarnation, NodeId, SocketId},
    partition::PartitionSet,
    wire::RosterPart,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// See the module.
pub(crate) struct Roster {
    me: Arc<str>,
    max: usize,
    parts: Mutex<BTreeMap<Arc<str>, RosterPart>>,
    /// This node's part must be announced to the other nodes.
    announce: AtomicBool,
    /// The list, or the count, must be sent to this node's members.
    send: AtomicBool,
    /// The other nodes' parts may be unknown and must be requested.
    request: AtomicBool,
    wake: Notify,
}

/// The roster as the members get it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RosterView {
    List(Vec<SocketId>),
    Count(usize),
}

impl Roster {
    pub(crate) fn new(me: &NodeId, max: usize) -> Self {
        Self {
            me: Arc::clone(&me.0),
            max,
            parts: Mutex::default(),
            announce: AtomicBool::new(false),
            send: AtomicBool::new(false),
            request: AtomicBool::new(true),
            wake: Notify::new(),
        }
    }

    /// A socket joined or left on this node.
    pub(crate) fn changed(&self) {
        self.send.store(true, Ordering::Release);
        self.announce_again();
    }

    /// Other nodes may not know this node's part: announces it.
    pub(crate) fn announce_again(&self) {
        self.announce.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Messages may have been lost in both directions: requests the other parts, and announces this node's.
    pub(crate) fn start_over(&self) {
        self.request.store(true, Ordering::Release);
        self.announce_again();
    }

    /// Messages in these partitions may have been lost: starts over if the nodes' parts are sent in one of them.
    pub(crate) fn on_gap(&self, partitions: PartitionSet) {
        if partitions.contains(Channel::Roster.partition()) {
            self.start_over();
        }
    }

    /// Stores another node's part.
    pub(crate) fn receive(&self, part: RosterPart) {
        if part.node == self.me {
            return;
        }
        let mut parts = self.parts.lock();
        let changed = match part.count {
            0 => parts.remove(&part.node).is_some(),
            _ if parts.get(&part.node) == Some(&part) => false,
            _ => {
                parts.insert(Arc::clone(&part.node), part);
                true
            }
        };
        drop(parts);
        self.send_if(changed);
    }

    /// Removes the parts of nodes that are not live.
    pub(crate) fn keep_only(&self, live: &[Incarnation]) {
        let live: Vec<NodeId> = live.iter().map(Incarnation::node).collect();
        let mut parts = self.parts.lock();
        let before = parts.len();
        parts.retain(|node, _| *node == self.me || live.iter().any(|other| other.0 == *node));
        let changed = parts.len() != before;
        drop(parts);
        self.send_if(changed);
    }

    /// Whether the cluster has so few sockets that all members get the presence of all users. `here` is the current
    /// number on this node, because its own part may be outdated.
    pub(crate) fn is_listed(&self, here: usize) -> bool {
        let parts = self.parts.lock();
        let elsewhere: usize = parts.values().filter(|part| part.node != self.me).map(|part| part.count).sum();
        here + elsewhere <= self.max
    }

    fn send_if(&self, changed: bool) {
        if changed {
            self.send.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    pub(crate) fn view(&self) -> RosterView {
        let parts = self.parts.lock();
        let count = parts.values().map(|part| part.count).sum();
        let lists: Option<Vec<&Vec<SocketId>>> = parts.values().map(|part| part.ids.as_ref()).collect();
        match lists {
            Some(lists) if count <= self.max => RosterView::List(lists.into_iter().flatten().copied().collect()),
            _ => RosterView::Count(count),
        }
    }

    /// Waits until a request, an announcement or a list may be due.
    pub(crate) async fn due(&self) {
        self.wake.notified().await;
    }

    /// Whether to request the other nodes' parts. Returns true once; so do the two below.
    pub(crate) fn take_request(&self) -> bool {
        self.request.swap(false, Ordering::AcqRel)
    }

    /// Whether to announce this node's part.
    pub(crate) fn take_announce(&self) -> bool {
        self.announce.swap(false, Ordering::AcqRel)
    }

    /// Whether to send the list, or the count, to the members.
    pub(crate) fn take_send(&self) -> bool {
        self.send.swap(false, Ordering::AcqRel)
    }

    /// Most sockets that are listed.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Stores this node's part, which is about to be announced.
    pub(crate) fn set_own(&self, count: usize, ids: Option<Vec<SocketId>>) -> RosterPart {
        let part = RosterPart { node: Arc::clone(&self.me), count, ids };
        let before = self.parts.lock().insert(Arc::clone(&self.me), part.clone());
        if before.as_ref() != Some(&part) {
            // The members have not got sockets yet that joined while the last part was being announced.
            self.send.store(true, Ordering::Release);
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use jackfield_cluster::partition::Partition;

    use super::*;

    #[test]
    fn a_gap_elsewhere_leaves_the_other_nodes_parts_alone() {
        let roster = Roster::new(&NodeId::from("me"), 10);
        assert!(roster.take_request(), "at start");
        let own = Channel::Roster.partition();
        roster.on_gap(Partition::all().filter(|partition| *partition != own).collect());
        assert!(!roster.take_request() && !roster.take_announce());
        roster.on_gap([own].into_iter().collect());
        assert!(roster.take_request() && roster.take_announce());
    }

    fn ids(numbers: &[u8]) -> Vec<SocketId> {
        numbers.iter().map(|number| [*number; 15].into()).collect()
    }

    fn part(node: &str, count: usize, numbers: Option<&[u8]>) -> RosterPart {
        let ids = numbers.map(ids);
        RosterPart { node: node.into(), count, ids }
    }

    #[test]
    fn members_get_a_list_up_to_the_maximum_and_a_count_above() {
        let roster = Roster::new(&"me".into(), 3);
        roster.receive(part("a", 2, Some(&[1, 2])));
        roster.receive(part("b", 1, Some(&[3])));
        assert_eq!(roster.view(), RosterView::List(ids(&[1, 2, 3])));
        roster.receive(part("b", 2, Some(&[3, 4])));
        assert_eq!(roster.view(), RosterView::Count(4));
        roster.receive(part("b", 0, Some(&[])));
        roster.receive(part("c", 9, None));
        assert_eq!(roster.view(), RosterView::Count(11));
        roster.keep_only(&[Incarnation::new(&"a".into())]);
        assert_eq!(roster.view(), RosterView::List(ids(&[1, 2])));
    }

    #[test]
    fn an_unchanged_part_is_not_sent_to_members_again() {
        let roster = Roster::new(&"me".into(), 3);
        roster.receive(part("a", 1, Some(&[1])));
        assert!(roster.send.swap(false, Ordering::AcqRel));
        roster.receive(part("a", 1, Some(&[1])));
        assert!(!roster.send.load(Ordering::Acquire));
    }
}
