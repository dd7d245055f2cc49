//! The other nodes' addresses, as the membership has them.
//!
//! Guarantees: requests for a node that is known wait for nobody; of concurrent look-ups one at a time asks the back end;
//! a node that is not live is not looked up again for [`ABSENT_FOR`]; requests to a node end once its lease is over. The
//! heartbeat keeps the list current, so that it also serves while the back end is away.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jackfield_cluster::{
    Unavailable,
    ids::{Incarnation, NodeId},
    membership::Membership,
};
use jackfield_shared::time::now;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// How long the answer that a node is not live holds.
const ABSENT_FOR: Duration = Duration::from_secs(1);

/// A live node.
#[derive(Debug)]
pub(super) struct Peer {
    node: NodeId,
    /// Host and internal port.
    pub(super) address: String,
    /// Cancelled once the node is not live any more.
    pub(super) gone: CancellationToken,
    /// When the back end was asked for it.
    asked: Instant,
}

enum Known {
    Live(Arc<Peer>),
    AbsentUntil(Instant),
}

/// See the module.
pub(super) struct Peers {
    membership: Membership,
    known: Mutex<HashMap<Box<str>, Known>>,
    looking_up: tokio::sync::Mutex<()>,
}

impl Peers {
    pub(super) fn new(membership: Membership) -> Self {
        Self { membership, known: Mutex::default(), looking_up: tokio::sync::Mutex::default() }
    }

    /// The live node with this tag.
    pub(super) async fn get(&self, tag: &str) -> Option<Arc<Peer>> {
        if let Some(known) = self.known(tag) {
            return known;
        }
        let _one_at_a_time = self.looking_up.lock().await;
        match self.known(tag) {
            Some(known) => known,
            None => self.look_up(tag).await.ok().flatten(),
        }
    }

    /// These nodes were live when the back end was `asked`, and no others.
    pub(super) async fn follow(&self, live: &[Incarnation], asked: Instant, own: &str) {
        let nodes: Vec<NodeId> = live.iter().map(Incarnation::node).collect();
        self.known.lock().retain(|_, known| match known {
            // A node may have registered after the question.
            Known::Live(peer) if nodes.contains(&peer.node) || peer.asked >= asked => true,
            Known::Live(peer) => {
                peer.gone.cancel();
                false
            }
            Known::AbsentUntil(until) => *until > now(),
        });
        for node in nodes.iter().filter(|node| node.tag() != own) {
            let is_known = matches!(self.known(node.tag()), Some(Some(_)));
            // The back end is away: do not wait for it once for each node.
            if !is_known && self.look_up(node.tag()).await.is_err() {
                return;
            }
        }
    }

    /// `None` if the node has to be looked up.
    fn known(&self, tag: &str) -> Option<Option<Arc<Peer>>> {
        match self.known.lock().get(tag)? {
            Known::Live(peer) => Some(Some(Arc::clone(peer))),
            Known::AbsentUntil(until) => (*until > now()).then_some(None),
        }
    }

    async fn look_up(&self, tag: &str) -> Result<Option<Arc<Peer>>, Unavailable> {
        let asked = now();
        let found = self.membership.address(tag).await;
        let peer = found.as_ref().ok().cloned().flatten().map(|(incarnation, address)| {
            Arc::new(Peer { node: incarnation.node(), address, gone: CancellationToken::new(), asked })
        });
        let known = match &peer {
            Some(peer) => Known::Live(Arc::clone(peer)),
            None => Known::AbsentUntil(now() + ABSENT_FOR),
        };
        self.known.lock().insert(tag.into(), known);
        found.map(|_| peer)
    }
}

#[cfg(test)]
mod tests {
    use jackfield_cluster::{Cluster, MemoryCluster};

    use super::*;
    use crate::settings::GatewaySettings;

    async fn node(cluster: &Cluster, name: &str) -> Incarnation {
        cluster.membership.register(&name.into(), &format!("{name}:1")).await.unwrap().0
    }

    fn address(peer: Option<&Arc<Peer>>) -> Option<&str> {
        peer.map(|peer| peer.address.as_str())
    }

    #[tokio::test]
    async fn a_node_is_known_until_it_is_not_live() {
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let peers = Peers::new(cluster.membership.clone());
        let one = node(&cluster, "gateway1").await;
        let peer = peers.get("gateway1").await;
        assert_eq!(address(peer.as_ref()), Some("gateway1:1"));
        let two = node(&cluster, "gateway2").await;
        peers.follow(&[one, two.clone()], now(), "gateway0").await;
        assert!(matches!(peers.known("gateway2"), Some(Some(_))), "the heartbeat looks up new nodes");
        peers.follow(&[two], now(), "gateway0").await;
        assert!(peer.unwrap().gone.is_cancelled() && peers.known("gateway1").is_none());
    }

    #[tokio::test]
    async fn an_unknown_node_is_not_looked_up_at_once_again() {
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let peers = Peers::new(cluster.membership.clone());
        assert!(peers.get("gateway1").await.is_none());
        node(&cluster, "gateway1").await;
        assert!(peers.get("gateway1").await.is_none());
        peers.known.lock().insert("gateway1".into(), Known::AbsentUntil(now()));
        assert!(peers.get("gateway1").await.is_some());
    }

    #[tokio::test]
    async fn a_node_that_registered_after_the_heartbeat_asked_is_kept() {
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let peers = Peers::new(cluster.membership.clone());
        let (asked, live) = (now(), cluster.membership.live().await.unwrap());
        node(&cluster, "gateway1").await;
        let peer = peers.get("gateway1").await.unwrap();
        peers.follow(&live, asked, "gateway0").await;
        assert!(!peer.gone.is_cancelled() && peers.get("gateway1").await.is_some());
    }

    #[tokio::test]
    async fn an_unknown_node_is_known_with_the_next_heartbeat() {
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let peers = Peers::new(cluster.membership.clone());
        assert!(peers.get("gateway1").await.is_none());
        let one = node(&cluster, "gateway1").await;
        peers.follow(&[one], now(), "gateway0").await;
        assert!(peers.get("gateway1").await.is_some());
    }

    #[tokio::test]
    async fn a_node_with_a_new_lease_is_the_same_node() {
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let peers = Peers::new(cluster.membership.clone());
        node(&cluster, "gateway1").await;
        let peer = peers.get("gateway1").await.unwrap();
        peers.follow(&[node(&cluster, "gateway1").await], now(), "gateway0").await;
        assert!(!peer.gone.is_cancelled());
    }
}
