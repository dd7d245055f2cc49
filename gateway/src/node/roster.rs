//! Keeps the list of sockets current: announces this node's part to the other nodes, and sends the whole list to this
//! node's members.
//!
//! Guarantees: each happens at most once in 250 ms, so that the work per connect does not depend on the number of
//! sockets; and with more than [`AT_ONCE`] members here the list or count is sent to them as much more seldom, so that it
//! never takes more than a few percent of a core.

use std::{sync::Arc, time::Duration};

use jackfield_cluster::{bus::Channel, wire::BusMessage};
use jackfield_engine::Frame;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::session::{MAIN, Shared, registry::RosterView};

const PACE: Duration = Duration::from_millis(250);
/// Members that the list or count may be sent to in each [`PACE`].
const AT_ONCE: usize = 1_000;

pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    let roster = &shared.roster;
    let mut next_send = Instant::now();
    let mut waits = false;
    loop {
        let due = async {
            tokio::select! {
                () = roster.due() => {}
                () = sleep_until(next_send), if waits => {}
            }
        };
        if stopping.run_until_cancelled(due).await.is_none() {
            return;
        }
        if roster.take_request() && !request(&shared).await {
            roster.start_over();
        }
        if roster.take_announce() && !announce(&shared).await {
            roster.announce_again();
        }
        waits = Instant::now() < next_send;
        if !waits && roster.take_send() {
            next_send = Instant::now() + pace(send(&shared).await);
        }
        if stopping.run_until_cancelled(sleep(PACE)).await.is_none() {
            return;
        }
    }
}

/// The shortest time from one list or count for so many members to the next.
fn pace(members: usize) -> Duration {
    let times = members.div_ceil(AT_ONCE).max(1);
    PACE.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
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

/// Sends the list, or the count, to this node's members. Returns how many there are.
async fn send(shared: &Shared) -> usize {
    let Some(namespace) = shared.namespaces.find(MAIN) else { return 0 };
    let frame = match shared.roster.view() {
        RosterView::List(ids) => Frame::event(MAIN, "clients-updated", &ids),
        RosterView::Count(count) => Frame::event(MAIN, "clients-count", &json!({ "count": count })),
    };
    if let Some(frame) = frame {
        namespace.members.fan_out(&frame).await;
    }
    namespace.members.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_members_get_the_count_more_seldom() {
        let paces = [0, 1, 1_000, 1_001, 20_000].map(|members| pace(members).as_millis());
        assert_eq!(paces, [250, 250, 250, 500, 5_000]);
    }
}
