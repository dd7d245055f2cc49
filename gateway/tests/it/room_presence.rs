//! The contract of `cluster::room_presence`.

use jackfield_gateway::cluster::{
    bus::Channel,
    ids::Incarnation,
    notice::Notice,
    presence::Saying,
    room_name::RoomName,
    room_presence::{Ending, Entry, Stay},
};

use crate::fixture::{Backend, Fixture, Node, contract, until};

contract!(
    the_first_session_is_announced_and_the_count_is_of_users,
    who_leaves_is_announced_at_once,
    who_is_gone_is_announced_once_after_the_grace,
    a_return_within_the_grace_is_silent,
    a_stay_taken_over_is_not_ended_by_the_old_incarnation,
    large_rooms_are_not_told,
    what_is_said_quietly_is_not_announced,
);

fn room() -> RoomName {
    RoomName::parse(&"/".into(), "r").unwrap()
}

fn stay(user: &str, session: &str) -> Stay {
    Stay { room: room(), user: user.into(), session: session.into() }
}

fn profile(user: &str) -> String {
    format!("{{\"userId\":\"{user}\",\"name\":\"Name of {user}\"}}")
}

async fn enter(node: &Node, user: &str, session: &str, by: &str) -> usize {
    let entry = Entry { stay: stay(user, session), profile: profile(user).into() };
    node.cluster.room_presence.enter(&[entry], &by.into(), Saying::Aloud).await.unwrap()[0]
}

async fn leave(node: &Node, user: &str, session: &str, by: &str, ending: Ending) {
    let by: Incarnation = by.into();
    node.cluster.room_presence.leave(&[stay(user, session)], &by, ending).await.unwrap();
}

async fn count(node: &Node) -> usize {
    node.cluster.room_presence.members(&room(), 500).await.unwrap().count
}

/// (+ or -, profile) of everything announced so far.
async fn announced(node: &mut Node) -> Vec<(char, String)> {
    let notices = node.heard_so_far().await.into_iter();
    let changes = notices.map(|notice| match notice {
        Notice::Joined { profile, .. } => ('+', profile.to_string()),
        Notice::Left { profile } => ('-', profile.to_string()),
        other => panic!("{other:?}"),
    });
    changes.collect()
}

async fn settled(fixture: &Fixture, members: usize) {
    until("settled", || async {
        for node in &fixture.nodes {
            node.cluster.room_presence.settle().await.unwrap();
        }
        (count(&fixture.nodes[0]).await == members).then_some(())
    })
    .await;
}

async fn with_listener(backend: Backend) -> Fixture {
    let fixture = Fixture::with_nodes(backend, 2);
    fixture.nodes[0].subscribe(&[Channel::Room(room())]).await;
    fixture
}

async fn the_first_session_is_announced_and_the_count_is_of_users(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    assert_eq!(count(&fixture.nodes[0]).await, 0);
    assert_eq!(enter(&fixture.nodes[0], "u", "s1", "n0").await, 1);
    assert_eq!(enter(&fixture.nodes[1], "u", "s2", "n1").await, 1);
    assert_eq!(enter(&fixture.nodes[1], "v", "s3", "n1").await, 2);
    assert_eq!(announced(&mut fixture.nodes[0]).await, [('+', profile("u")), ('+', profile("v"))]);
    let mut members = fixture.nodes[0].cluster.room_presence.members(&room(), 500).await.unwrap();
    members.profiles.sort();
    assert_eq!((members.count, members.profiles), (2, vec![profile("u"), profile("v")]));
    assert_eq!(fixture.nodes[0].cluster.room_presence.members(&room(), 1).await.unwrap().profiles.len(), 1);
}

async fn what_is_said_quietly_is_not_announced(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    let entry = Entry { stay: stay("u", "s"), profile: profile("u").into() };
    let entered = fixture.nodes[1].cluster.room_presence.enter(&[entry], &"n1".into(), Saying::Quietly).await;
    assert_eq!(entered.unwrap(), [1]);
    assert_eq!(enter(&fixture.nodes[1], "u", "t", "n1").await, 1);
    assert_eq!(announced(&mut fixture.nodes[0]).await, []);
    leave(&fixture.nodes[1], "u", "s", "n1", Ending::Left).await;
    leave(&fixture.nodes[1], "u", "t", "n1", Ending::Left).await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, [('-', profile("u"))]);
}

async fn who_leaves_is_announced_at_once(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], "u", "s1", "n0").await;
    enter(&fixture.nodes[0], "u", "s2", "n0").await;
    leave(&fixture.nodes[0], "u", "s1", "n0", Ending::Left).await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, [('+', profile("u"))]);
    leave(&fixture.nodes[0], "u", "s2", "n0", Ending::Left).await;
    leave(&fixture.nodes[0], "u", "s2", "n0", Ending::Gone).await;
    assert_eq!(announced(&mut fixture.nodes[0]).await, [('-', profile("u"))]);
    assert_eq!(count(&fixture.nodes[0]).await, 0);
}

async fn who_is_gone_is_announced_once_after_the_grace(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], "u", "s1", "n0").await;
    leave(&fixture.nodes[0], "u", "s1", "n0", Ending::Gone).await;
    assert_eq!(count(&fixture.nodes[0]).await, 1, "within the grace");
    leave(&fixture.nodes[1], "u", "s1", "n0", Ending::Gone).await;
    settled(&fixture, 0).await;
    fixture.nodes[1].cluster.room_presence.settle().await.unwrap();
    assert_eq!(announced(&mut fixture.nodes[0]).await, [('+', profile("u")), ('-', profile("u"))]);
}

async fn a_return_within_the_grace_is_silent(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], "u", "s1", "n0").await;
    enter(&fixture.nodes[0], "gone", "g1", "n0").await;
    leave(&fixture.nodes[0], "u", "s1", "n0", Ending::Gone).await;
    leave(&fixture.nodes[0], "gone", "g1", "n0", Ending::Gone).await;
    enter(&fixture.nodes[1], "u", "s2", "n1").await;
    settled(&fixture, 1).await;
    let heard = announced(&mut fixture.nodes[0]).await;
    assert_eq!(heard, [('+', profile("u")), ('+', profile("gone")), ('-', profile("gone"))]);
}

async fn a_stay_taken_over_is_not_ended_by_the_old_incarnation(backend: Backend) {
    let fixture = with_listener(backend).await;
    enter(&fixture.nodes[0], "u", "s1", "n0:1").await;
    enter(&fixture.nodes[0], "u", "s1", "n0:2").await;
    leave(&fixture.nodes[1], "u", "s1", "n0:1", Ending::Left).await;
    assert_eq!(count(&fixture.nodes[0]).await, 1);
    leave(&fixture.nodes[1], "u", "s1", "n0:2", Ending::Left).await;
    assert_eq!(count(&fixture.nodes[0]).await, 0);
}

async fn large_rooms_are_not_told(backend: Backend) {
    let mut fixture = with_listener(backend).await;
    for n in 0..5 {
        enter(&fixture.nodes[0], &format!("u{n}"), &format!("s{n}"), "n0").await;
    }
    assert_eq!(announced(&mut fixture.nodes[0]).await.len(), 3);
    for n in 0..5 {
        leave(&fixture.nodes[0], &format!("u{n}"), &format!("s{n}"), "n0", Ending::Left).await;
    }
    assert_eq!(announced(&mut fixture.nodes[0]).await.len(), 3);
}
