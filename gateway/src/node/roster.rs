//! Keeps the list of sockets current: announces this node's part to the other nodes, and sends the whole list to this
//! node's members.
//!
//! Guarantees: each happens at most once in 250 ms, so that the work per connect does not depend on the number of sockets.

use std::{sync::Arc, time::Duration};

use jackfield_cluster::{bus::Channel, wire::BusMessage};
use jackfield_engine::Frame;
use serde_json::json;

use crate::session::{MAIN, Shared, registry::RosterView};

const PACE: Duration = Duration::from_millis(250);

pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    let roster = &shared.roster;
    while stopping.run_until_cancelled(roster.due()).await.is_some() {
        if roster.take_request() && !request(&shared).await {
            roster.start_over();
        }
        if roster.take_announce() && !announce(&shared).await {
            roster.announce_again();
        }
        if roster.take_send() {
            send(&shared).await;
        }
        if stopping.run_until_cancelled(tokio::time::sleep(PACE)).await.is_none() {
            return;
        }
    }
}

/// Requests the other nodes' parts; false if they may not have received the request.
async fn request(shared: &Shared) -> bool {
    shared.cluster.bus.publish(&Channel::Roster, BusMessage::RosterRequest.encode()).await.is_ok()
}

/// Announces this node's part; false if the other nodes may not have received it.
async fn announce(shared: &Shared) -> bool {
    let Some(namespace) = shared.namespaces.find(MAIN) else { return true };
    let ids = namespace.members.ids(shared.roster.max());
    let count = ids.as_ref().map_or_else(|| namespace.members.len(), Vec::len);
    let part = shared.roster.set_own(count, ids);
    shared.cluster.bus.publish(&Channel::Roster, BusMessage::Roster(part).encode()).await.is_ok()
}

/// Sends the list, or the count, to this node's members.
async fn send(shared: &Shared) {
    let Some(namespace) = shared.namespaces.find(MAIN) else { return };
    let frame = match shared.roster.view() {
        RosterView::List(ids) => Frame::event(MAIN, "clients-updated", &ids),
        RosterView::Count(count) => Frame::event(MAIN, "clients-count", &json!({ "count": count })),
    };
    if let Some(frame) = frame {
        namespace.members.fan_out(&frame).await;
    }
}
