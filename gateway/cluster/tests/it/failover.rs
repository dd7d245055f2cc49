//! A master that sentinels keep is killed, replaced, or frozen while messages are appended.

use std::time::Duration;

use jackfield_cluster::{bus::Channel, wire::BusMessage};
use rustix::process::Signal;
use xtask_kit::servers::redis::topology::Kind;

use crate::{
    fixture::until,
    topologies::{Servers, room},
};

/// The longest time without an append: the sentinels need 1 s to notice, and some time to agree.
const GAP: Duration = Duration::from_secs(10);
const APPENDS: usize = 200;
/// Longer than the sentinels need to choose another master. When it is over, the former one calls itself a master until
/// they tell it otherwise.
const FROZEN: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_costs_seconds() {
    let Some(mut fixture) = Servers::start(Kind::Sentinel).await else { return };
    let mut seen = None;
    fixture.append(APPENDS, &mut seen).await;
    let before = fixture.master().await;
    fixture.topology.nodes[before].stop(Signal::KILL).await.unwrap();
    let (positions, gap) = fixture.append(APPENDS, &mut seen).await;
    eprintln!("killed: nothing was appended for {gap:?}");
    assert!(gap < GAP, "{gap:?}");
    assert_ne!(fixture.master().await, before);
    fixture.has_all(&positions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_master_costs_seconds_and_subscriptions_move() {
    let Some(mut fixture) = Servers::start(Kind::Sentinel).await else { return };
    let channel = Channel::Room(room());
    fixture.node.subscribe(std::slice::from_ref(&channel)).await;
    let mut seen = None;
    fixture.append(APPENDS, &mut seen).await;
    let before = fixture.master().await;
    fixture.topology.fail_over(before).await.unwrap();
    let mut gap = Duration::ZERO;
    while fixture.topology.sentinels_master().await.ok().is_none_or(|master| master == before)
        || fixture.topology.masters().await.len() != 1
    {
        gap = gap.max(fixture.append(10, &mut seen).await.1);
    }
    gap = gap.max(fixture.append(APPENDS, &mut seen).await.1);
    eprintln!("replaced: nothing was appended for {gap:?}");
    assert!(gap < GAP, "{gap:?}");
    let position = fixture.append(1, &mut seen).await.0[0];
    let heard = async {
        loop {
            match fixture.node.next_message().await {
                BusMessage::Message { position: heard, .. } if heard == position => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(GAP, heard).await.expect("messages are heard again");
    // The former master sends on what the new one publishes, but only as long as it is its replica.
    let master = fixture.master().await;
    until("the subscriptions are at the new master", || async {
        let channels = fixture.topology.nodes[master].ask(&["PUBSUB", "CHANNELS", "test:*"]).await.unwrap();
        (!channels.list().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_master_that_comes_back_is_not_used() {
    let Some(fixture) = Servers::start(Kind::Sentinel).await else { return };
    let mut seen = None;
    fixture.append(APPENDS, &mut seen).await;
    let before = fixture.master().await;
    let (thawed, (positions, gap)) = tokio::join!(
        fixture.topology.nodes[before].server.freeze(FROZEN),
        fixture.append_during(FROZEN * 2, &mut seen)
    );
    thawed.unwrap();
    eprintln!("frozen: nothing was appended for {gap:?}");
    assert!(gap < GAP, "{gap:?}");
    assert_ne!(fixture.master().await, before);
    fixture.has_all(&positions).await;
}
