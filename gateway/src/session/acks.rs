//! The acknowledgements that sockets on this node owe: events that a backend emitted with `ack`, which wait for the
//! client's answer.
//!
//! Guarantees: an answer is passed on to the node that asks at most once; the number of waiting answers is bounded for
//! each socket and for the node, and their time by the question; an acknowledgement that nobody waits for is dropped
//! unparsed. A side table, because most sockets never owe one. Deliberately does not tell the asking node that a socket
//! has gone: the question has a timeout.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jackfield_cluster::{
    bus::Channel,
    ids::SocketId,
    wire::{Ask, BusMessage, Found, Reply},
};
use jackfield_engine::{Frame, Parts};
use jackfield_shared::json_depth::{MAX_DEPTH, is_deeper};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::{Client, Shared};
use crate::hub::Member as _;

/// Most answers that one socket owes.
const PER_SOCKET: usize = 16;
/// Most answers that the sockets of a node owe.
const PER_NODE: usize = 10_000;
/// Most bytes of one answer, binary parts included.
pub(super) const MAX_ANSWER: usize = 64 * 1024;
/// The longest time that an answer is waited for.
const LONGEST: Duration = Duration::from_secs(30);
/// Sockets that are sent to before the task yields.
const BATCH: usize = 256;

/// See the module.
#[derive(Default)]
pub(crate) struct Acks(Mutex<Owed>);

#[derive(Default)]
struct Owed {
    by_socket: HashMap<SocketId, Vec<(i64, Ask)>>,
    count: usize,
    /// The last id, the same number for all sockets.
    last: Option<i64>,
}

impl Owed {
    /// The id under which the socket owes an answer, unless it or the node owes too many.
    fn owe(&mut self, socket: SocketId, ask: &Ask) -> Option<i64> {
        let of_socket = self.by_socket.get(&socket).map_or(0, Vec::len);
        if self.count >= PER_NODE || of_socket >= PER_SOCKET {
            return None;
        }
        // Begins anywhere, so that an answer to another node's question, sent after a reconnect, is taken for no other.
        let id = self.last.map_or_else(|| i64::from(rand::random::<u32>()), |last| last + 1);
        self.last = Some(id);
        self.by_socket.entry(socket).or_default().push((id, ask.clone()));
        self.count += 1;
        Some(id)
    }

    /// The question that this answers. The socket owes it no longer.
    fn take(&mut self, socket: SocketId, id: i64) -> Option<Ask> {
        let owed = self.by_socket.get_mut(&socket)?;
        let index = owed.iter().position(|(other, _)| *other == id)?;
        let (_, ask) = owed.swap_remove(index);
        if owed.is_empty() {
            self.by_socket.remove(&socket);
        }
        self.count -= 1;
        Some(ask)
    }
}

impl Acks {
    /// Emits an event to these sockets, each of which answers to the node that asks. A socket that owes too many answers
    /// does not get it.
    pub(crate) async fn emit(&self, shared: &Arc<Shared>, to: &[Arc<Client>], ask: &Ask, content: &Bytes) {
        let Some((text, parts)) = Parts::decode(content.clone()) else { return };
        let Ok(text) = std::str::from_utf8(&text) else { return };
        let mut asked = Vec::with_capacity(to.len());
        for batch in to.chunks(BATCH) {
            for client in batch {
                let Some(id) = self.0.lock().owe(client.id, ask) else { continue };
                asked.push((client.id, id));
                client.send(&Frame::event_asking(&client.namespace.name, id, text, parts.as_ref()));
            }
            tokio::task::yield_now().await;
        }
        if asked.is_empty() {
            return;
        }
        let timeout = Duration::from_millis(ask.timeout_ms.into()).min(LONGEST);
        let (of_node, stopping) = (Arc::clone(shared), shared.lifecycle.stopping());
        shared.lifecycle.spawn(async move {
            stopping.run_until_cancelled(tokio::time::sleep(timeout)).await;
            let mut owed = of_node.acks.0.lock();
            for (socket, id) in asked {
                owed.take(socket, id);
            }
        });
    }

    /// A client acknowledged something. Passes the answer on if this node waits for it.
    pub(super) fn receive(&self, shared: &Arc<Shared>, client: &Client, id: i64, content: &str, parts: Option<&Parts>) {
        let ask = self.0.lock().take(client.id, id);
        let Some(ask) = ask else { return };
        if !is_passed_on(content, parts) {
            let (session, user) = (client.session, &*client.identity.user_id);
            tracing::debug!(%session, user, "dropped an acknowledgement: it is too long, too deep, or no JSON array");
            return;
        }
        let found = Found::Acknowledged { socket: client.id, user: Arc::clone(&client.identity.user_id) };
        let bytes = Parts::encode(Bytes::copy_from_slice(content.as_bytes()), parts);
        reply(shared, &ask, found, bytes);
    }
}

/// Sends a reply to the node that asks, without waiting.
pub(crate) fn reply(shared: &Arc<Shared>, ask: &Ask, found: Found, bytes: Bytes) {
    let message = BusMessage::Replied { reply: Reply { id: ask.id, found }, bytes }.encode();
    let (bus, channel) = (shared.cluster.bus.clone(), Channel::Node(ask.node()));
    shared.lifecycle.spawn(async move {
        // If this fails, the node that asks counts the answer as missing.
        let _ = bus.publish(&channel, message).await;
    });
}

/// Whether an answer can be a part of the backend's JSON.
fn is_passed_on(content: &str, parts: Option<&Parts>) -> bool {
    content.len() + parts.map_or(0, Parts::bytes) <= MAX_ANSWER
        && serde_json::from_str::<Vec<&RawValue>>(content).is_ok()
        && !is_deeper(content.as_bytes(), MAX_DEPTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(id: u64) -> Ask {
        Ask { node: "n".into(), id, timeout_ms: 1 }
    }

    #[test]
    fn a_socket_and_a_node_owe_a_bounded_number() {
        let mut owed = Owed::default();
        let socket = |number: u32| {
            let mut bytes = [0; 15];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            SocketId::from(bytes)
        };
        let first: Vec<_> = (0..PER_SOCKET).filter_map(|_| owed.owe(socket(0), &ask(1))).collect();
        assert_eq!((first.len(), owed.owe(socket(0), &ask(1))), (PER_SOCKET, None));
        assert_eq!(owed.take(socket(0), first[3]), Some(ask(1)));
        assert!(owed.owe(socket(0), &ask(1)).is_some());
        let others = (1..).map_while(|number| owed.owe(socket(number), &ask(2))).count();
        assert_eq!(others, PER_NODE - PER_SOCKET);
    }

    #[test]
    fn only_short_arrays_are_passed_on() {
        for (content, expected) in
            [("[]", true), ("[1,{\"a\":[]}]", true), ("[", false), ("[1]x", false), ("{}", false)]
        {
            assert_eq!(is_passed_on(content, None), expected, "{content}");
        }
        let long = |bytes: usize| format!("[\"{}\"]", "x".repeat(bytes - 4));
        assert!(is_passed_on(&long(MAX_ANSWER), None) && !is_passed_on(&long(MAX_ANSWER + 1), None));
        let part = Parts::one(Bytes::from_static(b"123"));
        assert!(!is_passed_on(&long(MAX_ANSWER), Some(&part)));
        assert!(!is_passed_on(&"[".repeat(70).chars().chain("]".repeat(70).chars()).collect::<String>(), None));
    }

    proptest! {
        /// Any questions and answers: each question is answered once, and nothing is left of answered ones.
        #[test]
        fn each_question_is_answered_once(steps in prop::collection::vec((0_u8..4, any::<bool>()), 1..80)) {
            let mut owed = Owed::default();
            let mut waiting = Vec::new();
            for (number, (socket, asks)) in (0..).zip(steps) {
                let socket = SocketId::from([socket; 15]);
                if asks {
                    waiting.extend(owed.owe(socket, &ask(number)).map(|id| (socket, id, number)));
                } else if let Some((socket, id, number)) = waiting.pop() {
                    prop_assert_eq!(owed.take([9; 15].into(), id), None);
                    prop_assert_eq!(owed.take(socket, id), Some(ask(number)));
                    prop_assert_eq!(owed.take(socket, id), None);
                }
                prop_assert_eq!(owed.count, waiting.len());
                prop_assert_eq!(owed.by_socket.values().map(Vec::len).sum::<usize>(), waiting.len());
            }
        }
    }
}
