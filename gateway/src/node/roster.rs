//! The list of sockets in the main namespace in the whole cluster.
//!
//! Every node announces its own part when it changes, at most once in 250 ms, and sends its members the whole at the
//! same pace: the list up to `roster.max` sockets, beyond that the count alone, because a list costs n². The part of a
//! dead node is removed. Work per connect does not depend on the number of sockets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use super::{MAIN, Node};
use crate::{
    cluster::{
        bus::Channel,
        ids::{Incarnation, NodeId},
        notice::{BusMessage, RosterPart},
    },
    engine::Frame,
};

const PACE: Duration = Duration::from_millis(250);

/// See the module.
pub struct Roster {
    me: Arc<str>,
    max: usize,
    parts: Mutex<BTreeMap<Arc<str>, RosterPart>>,
    /// This node's part has to be announced.
    say: AtomicBool,
    /// The whole has to be sent to the members.
    show: AtomicBool,
    /// The others' parts may be unknown: ask for them.
    ask: AtomicBool,
    wake: Notify,
}

/// The roster as members get it.
#[derive(Debug, PartialEq, Eq)]
enum Whole {
    List(Vec<Arc<str>>),
    Count(usize),
}

impl Roster {
    pub(super) fn new(me: &NodeId, max: usize) -> Self {
        Self {
            me: Arc::clone(&me.0),
            max,
            parts: Mutex::default(),
            say: AtomicBool::new(false),
            show: AtomicBool::new(false),
            ask: AtomicBool::new(true),
            wake: Notify::new(),
        }
    }

    /// A socket came or went on this node.
    pub(super) fn changed(&self) {
        self.show.store(true, Ordering::Release);
        self.say_again();
    }

    /// Others may not know this node's part.
    pub(super) fn say_again(&self) {
        self.say.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Messages may have been missed, in both directions.
    pub(super) fn start_over(&self) {
        self.ask.store(true, Ordering::Release);
        self.say_again();
    }

    /// Stores another node's part.
    pub(super) fn hear(&self, part: RosterPart) {
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
        self.show_where(changed);
    }

    /// Removes the parts of nodes that are not live.
    pub(super) fn keep_only(&self, live: &[Incarnation]) {
        let live: Vec<NodeId> = live.iter().map(Incarnation::node).collect();
        let mut parts = self.parts.lock();
        let before = parts.len();
        parts.retain(|node, _| *node == self.me || live.iter().any(|other| other.0 == *node));
        let changed = parts.len() != before;
        drop(parts);
        self.show_where(changed);
    }

    /// Whether the cluster has so few sockets that everybody gets everybody's presence. `here` is the present number on
    /// this node: its own part may be behind.
    pub(super) fn is_listed(&self, here: usize) -> bool {
        let parts = self.parts.lock();
        let elsewhere: usize = parts.values().filter(|part| part.node != self.me).map(|part| part.count).sum();
        here + elsewhere <= self.max
    }

    fn show_where(&self, changed: bool) {
        if changed {
            self.show.store(true, Ordering::Release);
            self.wake.notify_one();
        }
    }

    fn whole(&self) -> Whole {
        let parts = self.parts.lock();
        let count = parts.values().map(|part| part.count).sum();
        let lists: Option<Vec<&Vec<Arc<str>>>> = parts.values().map(|part| part.ids.as_ref()).collect();
        match lists {
            Some(lists) if count <= self.max => Whole::List(lists.into_iter().flatten().cloned().collect()),
            _ => Whole::Count(count),
        }
    }
}

pub(super) async fn keep_current(node: Arc<Node>) {
    let stopping = node.lifecycle.stopping();
    let roster = &node.roster;
    while stopping.run_until_cancelled(roster.wake.notified()).await.is_some() {
        if roster.ask.swap(false, Ordering::AcqRel) && !ask(&node).await {
            roster.start_over();
        }
        if roster.say.swap(false, Ordering::AcqRel) && !say(&node).await {
            roster.say_again();
        }
        if roster.show.swap(false, Ordering::AcqRel) {
            show(&node).await;
        }
        if stopping.run_until_cancelled(tokio::time::sleep(PACE)).await.is_none() {
            return;
        }
    }
}

/// Asks the others for their parts; false if they may not have received the request.
async fn ask(node: &Node) -> bool {
    node.cluster.bus.publish(&Channel::Roster, BusMessage::RosterWanted.encode()).await.is_ok()
}

/// Announces this node's part; false if the others may not have received it.
async fn say(node: &Node) -> bool {
    let Some(namespace) = node.hub.namespace(MAIN) else { return true };
    let roster = &node.roster;
    let ids = namespace.socket_ids(roster.max);
    let count = ids.as_ref().map_or_else(|| namespace.len(), Vec::len);
    let part = RosterPart { node: Arc::clone(&roster.me), count, ids };
    let before = roster.parts.lock().insert(Arc::clone(&roster.me), part.clone());
    if before.as_ref() != Some(&part) {
        // Members have not seen sockets yet that came while the last part was being announced.
        roster.show.store(true, Ordering::Release);
    }
    node.cluster.bus.publish(&Channel::Roster, BusMessage::Roster(part).encode()).await.is_ok()
}

async fn show(node: &Node) {
    let Some(namespace) = node.hub.namespace(MAIN) else { return };
    let frame = match node.roster.whole() {
        Whole::List(ids) => Frame::event(MAIN, "clients-updated", &ids),
        Whole::Count(count) => Frame::event(MAIN, "clients-count", &json!({ "count": count })),
    };
    if let Some(frame) = frame {
        namespace.fan_out(&frame).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(node: &str, count: usize, ids: Option<&[&str]>) -> RosterPart {
        let ids = ids.map(|ids| ids.iter().map(|id| Arc::from(*id)).collect());
        RosterPart { node: node.into(), count, ids }
    }

    #[test]
    fn the_whole_is_a_list_up_to_the_maximum_and_a_count_beyond() {
        let roster = Roster::new(&"me".into(), 3);
        roster.hear(part("a", 2, Some(&["1", "2"])));
        roster.hear(part("b", 1, Some(&["3"])));
        assert_eq!(roster.whole(), Whole::List(vec!["1".into(), "2".into(), "3".into()]));
        roster.hear(part("b", 2, Some(&["3", "4"])));
        assert_eq!(roster.whole(), Whole::Count(4));
        roster.hear(part("b", 0, Some(&[])));
        roster.hear(part("c", 9, None));
        assert_eq!(roster.whole(), Whole::Count(11));
        roster.keep_only(&[Incarnation::new(&"a".into())]);
        assert_eq!(roster.whole(), Whole::List(vec!["1".into(), "2".into()]));
    }

    #[test]
    fn what_is_heard_twice_is_not_shown_twice() {
        let roster = Roster::new(&"me".into(), 3);
        roster.hear(part("a", 1, Some(&["1"])));
        assert!(roster.show.swap(false, Ordering::AcqRel));
        roster.hear(part("a", 1, Some(&["1"])));
        assert!(!roster.show.load(Ordering::Acquire));
    }
}
