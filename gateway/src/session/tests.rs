//! Tests of connections that end during a claim or a join. All other tests of sessions are in `tests/it`.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use jackfield_cluster::{
    MemoryCluster,
    log::Durability,
    presence::Stay,
    revocations::{About, Entry},
    room_name::RoomName,
};
use jackfield_engine::{CloseReason, Frame, testing::TestClient};
use jackfield_shared::{
    claims::{Identity, Mark, Marks},
    lifecycle::Lifecycle,
    time::unix_now,
    verify::KeySource,
};
use serde_json::value::RawValue;
use tokio::sync::SemaphorePermit;

use super::{
    Client, Connection, MAIN, Shared,
    connect::{begin, connect},
    connect_auth::ConnectAuth,
    connect_hook::Verdict,
    handshake_token::HandshakeToken,
    refusal::Refusal,
    state::Standing,
};
use crate::{
    Gateway,
    room::{JoinError, Joined, Joining, Rooms},
    settings::GatewaySettings,
};

fn identity() -> Arc<Identity> {
    let user: Arc<str> = "u".into();
    let expires_at = unix_now() + 3_600;
    let (name, marks) = (Arc::clone(&user), Marks::default());
    Arc::new(Identity { name, user_id: user, email: None, roles: Arc::new([]), expires_at, marks })
}

fn gateway(lifecycle: &Lifecycle) -> Gateway {
    let settings = GatewaySettings::default();
    let cluster = MemoryCluster::new(settings.terms());
    Gateway::build_in(&cluster, settings, KeySource::Secret("not a secret".to_owned()), lifecycle).unwrap()
}

/// A connection right after its handshake, whose session is about to be claimed.
fn claiming(gateway: &Gateway) -> (TestClient, Arc<Connection>) {
    let client = gateway.test_client(None);
    let connection = gateway.shared.idle.all().pop().unwrap();
    assert!(matches!(connection.session.lock().begin(&identity()), Standing::Claim));
    (client, connection)
}

async fn finish_claim(shared: &Shared, connection: &Arc<Connection>) -> Result<(), Refusal> {
    begin(connection, shared.namespaces.find(MAIN).unwrap(), identity(), &ConnectAuth::default(), Verdict::Free).await
}

/// A socket in the main namespace.
async fn connected(gateway: &Gateway) -> (TestClient, Arc<Connection>, Arc<Client>) {
    while gateway.shared.lease.incarnation().is_none() {
        tokio::task::yield_now().await;
    }
    let (transport, connection) = claiming(gateway);
    finish_claim(&gateway.shared, &connection).await.unwrap();
    let client = Arc::clone(&connection.sockets()[0]);
    (transport, connection, client)
}

/// All turns to connect: nobody else gets one until they are dropped.
fn all_turns(shared: &Shared) -> Vec<SemaphorePermit<'_>> {
    let pass = || shared.connecting.pass(|| false).now_or_never();
    std::iter::from_fn(|| pass()?.ok()).collect()
}

#[tokio::test]
async fn a_connection_that_ends_before_its_claim_leaves_nothing_behind() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let shared = &gateway.shared;
    let (_transport, connection) = claiming(&gateway);
    // Another thread may do this at any moment: here, between the decision to claim and the claim.
    connection.close(CloseReason::Draining);
    assert_eq!(finish_claim(shared, &connection).await, Err(Refusal::Temporary));
    let members = shared.namespaces.find(MAIN).unwrap().members.len();
    assert_eq!((shared.connections.len(), shared.connections.census().users, members), (0, 0, 0));
    assert_eq!(shared.cluster.sessions.of(&[Arc::clone(&identity().user_id)]).await.unwrap(), [vec![]]);
    lifecycle.stop();
}

#[tokio::test]
async fn a_hooks_data_is_kept_no_longer_than_its_socket() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let (_transport, connection, client) = connected(&gateway).await;
    let data: Arc<RawValue> = RawValue::from_string("7".into()).unwrap().into();
    gateway.shared.socket_data.put(client.session, client.id, data);
    assert_eq!(connection.data_of(&client).unwrap().get(), "7");
    connection.leave(MAIN);
    assert!(connection.data_of(&client).is_none());
    lifecycle.stop();
}

#[tokio::test]
async fn a_verified_handshake_token_counts_until_it_expires() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let (transport, connection, client) = connected(&gateway).await;
    let mut identity = (*identity()).clone();
    for (expires_at, expected) in [(unix_now(), r#"4/chat,{"message":"token_expired"}"#), (unix_now() + 60, "0/chat,")]
    {
        identity.expires_at = expires_at;
        connection.entry.lock().token = Some(HandshakeToken::Verified(Arc::new(identity.clone())));
        let _ = transport.outbox().take();
        connect(&connection, "/chat", None).await;
        let answer = transport.outbox().take().remove(0);
        assert!(answer.text().starts_with(expected.as_bytes()), "{answer:?}");
    }
    assert_eq!(client.identity.user_id, identity.user_id);
    lifecycle.stop();
}

#[tokio::test]
async fn nothing_is_claimed_while_the_release_queue_is_full() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let shared = &gateway.shared;
    let (_first, _, client) = connected(&gateway).await;
    let (_second, connection) = claiming(&gateway);
    while !shared.releases.is_full() {
        shared.releases.push(Stay::online(&client.session_ref()), "lost".into());
    }
    assert_eq!(finish_claim(shared, &connection).await, Err(Refusal::Temporary));
    assert_eq!(shared.connections.len(), 1, "only the connection of the earlier client");
    lifecycle.stop();
}

#[tokio::test]
async fn a_socket_that_left_while_it_joins_a_room_is_refused_at_once() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let rooms = &gateway.shared.rooms;
    let (_transport, connection, client) = connected(&gateway).await;
    let room = RoomName::parse(&client.namespace.name, "r").unwrap();
    connection.close(CloseReason::Draining);
    let joining = Joining::new(client, None, None, 1);
    // The join must not ask the room repeatedly until its deadline.
    let joined = tokio::time::timeout(Duration::from_secs(1), rooms.join(&room, joining)).await;
    assert!(matches!(joined, Ok(Err(JoinError::Unavailable))));
    until_closed(rooms).await;
    lifecycle.stop();
}

#[tokio::test]
async fn a_room_is_closed_if_a_socket_fails_between_two_rounds_of_its_join() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let (log, rooms) = (&gateway.shared.cluster.log, &gateway.shared.rooms);
    let (_transport, connection, client) = connected(&gateway).await;
    let room = RoomName::parse(&client.namespace.name, "r").unwrap();
    for _ in 0..40 {
        log.append(&room, &format!("\"{}\"", "x".repeat(50_000)), None, None, Durability::Memory).await.unwrap();
    }
    let since = log.empty(&room).await.unwrap().to_string();
    let mut joining = Joining::new(client, Some(since), None, 1);
    let Ok((_, Joined::More { sent, .. })) = rooms.join(&room, joining.clone()).await else {
        panic!("two megabytes in one round")
    };
    assert_eq!(rooms.len(), 1);
    joining.sent = Some(sent);
    connection.close(CloseReason::Draining);
    assert!(matches!(rooms.join(&room, joining).await, Err(JoinError::Unavailable)));
    until_closed(rooms).await;
    lifecycle.stop();
}

#[tokio::test]
async fn a_client_that_goes_while_it_waits_for_its_turn_is_not_claimed() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let shared = &gateway.shared;
    let (_other, _, _) = connected(&gateway).await;
    let turns = all_turns(shared);
    let (client, connection) = claiming(&gateway);
    let before = shared.cluster.sessions.of(&["u".into()]).await.unwrap();
    let mut waiting = Box::pin(finish_claim(shared, &connection));
    assert!(waiting.as_mut().now_or_never().is_none(), "others work");
    client.cut();
    drop(turns);
    assert!(matches!(waiting.await, Err(Refusal::Temporary)));
    assert_eq!(shared.cluster.sessions.of(&["u".into()]).await.unwrap(), before);
    assert_eq!(shared.connections.len(), 1);
    lifecycle.stop();
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_client_waits_for_its_turn_ends_the_session() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let shared = &gateway.shared;
    let (_other, _, _) = connected(&gateway).await;
    let turns = all_turns(shared);
    let client = gateway.test_client(None);
    let connection = shared.idle.all().pop().unwrap();
    let login = Some(Mark::of("v", "l"));
    let identity =
        Identity { user_id: "v".into(), marks: Marks { login, ..Marks::default() }, ..(*identity()).clone() };
    connection.entry.lock().token = Some(HandshakeToken::Verified(Arc::new(identity)));
    let mut waiting = Box::pin(connect(&connection, MAIN, None));
    assert!(waiting.as_mut().now_or_never().is_none(), "others work");
    let about = About::Login { id: "l".into() };
    let entry = Entry { user: "v".into(), about, reason: "logout".into(), until: unix_now() + 60 };
    gateway.revocations().record(&[entry]).await.unwrap();
    while shared.revocations.len() == 0 {
        tokio::task::yield_now().await;
    }
    drop(turns);
    waiting.await;
    let last = client.outbox().take().pop().unwrap();
    assert!(last.text().starts_with(b"1"), "a DISCONNECT: {last:?}");
    assert!(connection.sockets().is_empty());
    lifecycle.stop();
}

#[tokio::test]
async fn a_push_that_arrives_before_the_first_namespace_is_followed_by_the_current_count() {
    let lifecycle = Lifecycle::new();
    let gateway = gateway(&lifecycle);
    let (_other, _, _) = connected(&gateway).await;
    let (client, connection) = claiming(&gateway);
    gateway.shared.connections.insert(&connection, None);
    // The bus listener finds the session during its claim: no socket can get the push yet.
    assert_eq!(connection.recipients().len(), 0);
    finish_claim(&gateway.shared, &connection).await.unwrap();
    let mut counts = 0;
    let twice = async {
        while counts < 2 {
            client.changed().await;
            let sent = client.outbox().take();
            let is_count = |frame: &&Frame| String::from_utf8_lossy(frame.text()).contains("notification:unread_count");
            counts += sent.iter().filter(is_count).count();
        }
    };
    tokio::time::timeout(Duration::from_secs(5), twice).await.expect("the current count");
    lifecycle.stop();
}

async fn until_closed(rooms: &Rooms<Client>) {
    let closed = async {
        while rooms.len() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the room stays open");
}
