//! Members of a room: announcements by user, counts, and permission to join and send.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{Client, TestCluster, User};

const GRACE: Duration = Duration::from_secs(2);
/// After the end of a grace, its announcement has arrived within this time.
const SOON: Duration = Duration::from_secs(1);
const ANNOUNCE_MAX: usize = 4;
const MOST_ROOMS: usize = 5;

async fn cluster() -> TestCluster {
    let rules = r#"rooms.rules=["staff:*;join=ADMIN+SUPERUSER","news;send=ADMIN","vip:*;join=*;send=VIP"]"#;
    let grace = format!("presence.grace={}ms", GRACE.as_millis());
    let announce = format!("rooms.announceMax={ANNOUNCE_MAX}");
    let rooms = format!("limits.rooms={MOST_ROOMS}");
    TestCluster::with(3, &["session.policy=multi", &grace, &announce, rules, &rooms]).await
}

/// A room's announcements about a user.
fn about(client: &Client, room: &str) -> Value {
    let mut about = client.user.profile();
    about["room"] = json!(room);
    about
}

/// The ids of the users in all events of this name so far.
fn users(client: &Client, event: &str) -> Vec<String> {
    client.all(event).iter().map(|data| data["userId"].as_str().unwrap().to_owned()).collect()
}

/// The room has exactly these members, as answered to `client`.
async fn assert_members(client: &Client, room: &str, members: &[&Client]) {
    let mut answer = client.done("room-members", json!({ "room": room })).await;
    let by_id = |user: &Value| user["userId"].as_str().unwrap().to_owned();
    answer["members"].as_array_mut().unwrap().sort_by_key(by_id);
    let mut expected: Vec<Value> = members.iter().map(|member| member.user.profile()).collect();
    expected.sort_by_key(by_id);
    assert_eq!(answer, json!({ "status": "ok", "room": room, "count": members.len(), "members": expected }));
}

#[tokio::test(start_paused = true)]
async fn a_user_joins_once_and_leaves_once_and_at_once_with_any_number_of_sockets() {
    let cluster = cluster().await;
    let bob = [cluster.client_on(0, "bob").await, cluster.client_on(2, "bob").await];
    let ana = User::new("ana").named("Ana \"A\" Ñandú");
    let ana = [cluster.client_on(0, &ana).await, cluster.client_on(1, &ana).await, cluster.client_on(1, &ana).await];
    for client in &bob {
        assert_eq!(client.join("r").await["members"], 1);
    }
    for client in &ana {
        assert_eq!(client.join("r").await["members"], 2);
    }
    cluster.quiet().await;
    for client in &bob {
        assert_eq!(client.all("user-joined"), [about(&ana[0], "r")]);
    }
    for client in &ana {
        assert!(client.all("user-joined").is_empty(), "no socket gets an announcement of its own user");
    }
    assert_members(&ana[1], "r", &[&ana[0], &bob[0]]).await;

    let left = json!({ "status": "ok", "room": "r" });
    assert_eq!(ana[0].ask("leave-room", json!("r")).await, left);
    assert_eq!(ana[1].ask("leave-room", json!({ "room": "r" })).await, left);
    sleep(GRACE * 10).await;
    for client in &bob {
        assert!(client.all("user-left").is_empty());
    }
    assert_members(&bob[0], "r", &[&ana[0], &bob[0]]).await;

    ana[2].done("leave-room", json!("r")).await;
    cluster.quiet().await;
    for client in &bob {
        assert_eq!(client.all("user-left"), [about(&ana[0], "r")], "leaving has no grace");
    }
    assert_members(&bob[1], "r", &[&bob[0]]).await;
    ana[2].refused("leave-room", json!("r"), "not_in_room").await;
    sleep(GRACE * 10).await;
    for client in &bob {
        assert_eq!(client.all("user-left").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_that_left_receives_nothing_more() {
    let cluster = cluster().await;
    let [ana, bob, eve] = cluster.clients().await;
    for client in [&ana, &bob, &eve] {
        client.join("r").await;
    }
    ana.done("leave-room", json!("r")).await;
    cluster.quiet().await;
    let before = ana.events().len();
    bob.send_to("r", "x").await;
    bob.done("message", json!({ "content": "x", "room": "r" })).await;
    bob.done("room-message", json!({ "room": "r", "message": "x" })).await;
    bob.done("typing", json!({ "room": "r" })).await;
    bob.done("leave-room", json!("r")).await;
    cluster.quiet().await;
    for event in ["new-message", "message", "room-message", "user-typing"] {
        assert_eq!(eve.all(event).len(), 1, "{event}");
    }
    assert_eq!(users(&eve, "user-left"), [&*ana.user.id, &*bob.user.id]);
    ana.join("r").await;
    // She may receive events about others outside her rooms.
    let events = ana.events().into_iter().skip(before).map(|(name, _)| name);
    let names: Vec<_> = events.filter(|name| !name.starts_with("user:") && !name.starts_with("clients-")).collect();
    assert_eq!(names, ["joined", "recent-messages"]);
}

#[tokio::test(start_paused = true)]
async fn a_user_whose_last_socket_is_gone_is_a_member_until_announced_after_the_grace() {
    let cluster = cluster().await;
    let bob = [cluster.client_on(0, "bob").await, cluster.client_on(1, "bob").await];
    let ana = [cluster.client_on(1, "ana").await, cluster.client_on(2, "ana").await];
    let eve = cluster.client_on(2, "eve").await;
    for client in bob.iter().chain(&ana).chain([&eve]) {
        client.join("r").await;
    }
    // They go one after the other: only the last one counts.
    ana[0].cut();
    sleep(GRACE * 10).await;
    assert!(bob[0].all("user-left").is_empty());
    let gone = Instant::now();
    ana[1].cut();
    sleep(GRACE - Duration::from_millis(1)).await;
    assert_members(&bob[0], "r", &[&ana[0], &bob[0], &eve]).await;
    assert!(bob.iter().all(|client| client.all("user-left").is_empty()));
    for client in &bob {
        assert_eq!(client.next("user-left").await, about(&ana[0], "r"));
        assert!((GRACE..GRACE + SOON).contains(&gone.elapsed()), "after {:?}", gone.elapsed());
    }
    assert_members(&eve, "r", &[&bob[0], &eve]).await;
    sleep(GRACE * 10).await;
    for client in &bob {
        assert_eq!(client.all("user-left").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn returning_within_the_grace_is_silent_on_another_node_too() {
    let cluster = cluster().await;
    let bob = [cluster.client_on(0, "bob").await, cluster.client_on(1, "bob").await];
    let ana = cluster.client_on(0, "ana").await;
    for client in bob.iter().chain([&ana]) {
        client.join("r").await;
    }
    ana.cut();
    sleep(GRACE - Duration::from_millis(1)).await;
    let back = cluster.client_on(2, "ana").await;
    assert_eq!(back.join("r").await["members"], 2);
    sleep(GRACE * 10).await;
    for client in &bob {
        assert!(client.all("user-left").is_empty());
        assert_eq!(users(client, "user-joined"), ["ana"]);
    }
    assert_members(&back, "r", &[&ana, &bob[0]]).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_that_leaves_and_rejoins_at_once_is_a_member() {
    let cluster = cluster().await;
    let [bob, ana, kim] = cluster.clients().await;
    for client in [&bob, &ana, &kim] {
        client.join("r").await;
    }
    for _ in 0..10 {
        ana.done("leave-room", json!("r")).await;
        ana.join("r").await;
        let (left, joined) = tokio::join!(kim.ask("leave-room", json!("r")), kim.ask("join-room", json!("r")));
        assert_eq!((&left["status"], &joined["status"]), (&json!("ok"), &json!("ok")));
    }
    sleep(GRACE * 10).await;
    assert_members(&bob, "r", &[&ana, &bob, &kim]).await;
    for client in [&ana, &kim] {
        let count = |event| users(&bob, event).iter().filter(|user| **user == client.user.id).count();
        assert_eq!((count("user-joined"), count("user-left")), (11, 10));
    }
}

#[tokio::test(start_paused = true)]
async fn each_namespace_has_its_own_members_over_one_connection_too() {
    let cluster = cluster().await;
    let [bob, ana] = cluster.clients().await;
    let (bob_chat, ana_chat) = (bob.also_in("/chat").await, ana.also_in("/chat").await);
    for client in [&bob, &bob_chat] {
        client.join("r").await;
    }
    assert_eq!(ana_chat.join("r").await["members"], 2);
    cluster.quiet().await;
    assert_eq!((users(&bob_chat, "user-joined").len(), users(&bob, "user-joined").len()), (1, 0));
    assert_members(&ana, "r", &[&bob]).await;
    ana.join("r").await;
    cluster.quiet().await;
    assert_eq!((users(&bob_chat, "user-joined").len(), users(&bob, "user-joined").len()), (1, 1));
    ana_chat.leave_namespace();
    sleep(GRACE * 10).await;
    assert_eq!(users(&bob_chat, "user-left"), [&*ana.user.id]);
    assert!(bob.all("user-left").is_empty(), "only her membership in /chat ended");
    assert_members(&bob_chat, "r", &[&bob]).await;
    assert_members(&bob, "r", &[&ana, &bob]).await;
}

#[tokio::test(start_paused = true)]
async fn above_the_announced_maximum_joins_are_not_announced_and_the_counts_stay_right() {
    let cluster = cluster().await;
    let clients: [Client; ANNOUNCE_MAX + 2] = cluster.clients().await;
    for (before, client) in clients.iter().enumerate() {
        assert_eq!(client.join("r").await["members"], before + 1);
    }
    cluster.quiet().await;
    assert_eq!(users(&clients[0], "user-joined"), ["user-1", "user-2", "user-3"]);
    assert_members(&clients[0], "r", &clients.each_ref()).await;

    for client in &clients[4..] {
        client.done("leave-room", json!("r")).await;
    }
    cluster.quiet().await;
    assert!(clients[0].all("user-left").is_empty());
    clients[3].done("leave-room", json!("r")).await;
    cluster.quiet().await;
    for client in &clients[..3] {
        assert_eq!(users(client, "user-left"), ["user-3"]);
    }
    assert_members(&clients[4], "r", &[&clients[0], &clients[1], &clients[2]]).await;
}

#[tokio::test(start_paused = true)]
async fn rules_decide_which_users_may_join_and_send() {
    let cluster = cluster().await;
    let admin = cluster.client_on(0, User::new("admin").with_roles(&["USER", "ADMIN"])).await;
    let user = cluster.client_on(1, "user").await;
    for room in ["staff:1", "staff:"] {
        user.refused("join-room", json!(room), "forbidden").await;
        user.refused("join-room", json!({ "room": room }), "forbidden").await;
        user.refused("room-members", json!({ "room": room }), "forbidden").await;
        user.refused("send-message", json!({ "room": room, "content": "x" }), "not_in_room").await;
        admin.join(room).await;
        admin.send_to(room, "for admins").await;
    }
    for room in ["news", "vip:1"] {
        admin.join(room).await;
        user.join(room).await;
        user.refused("send-message", json!({ "room": room, "content": "x" }), "forbidden").await;
        user.refused("message", json!({ "room": room, "content": "x" }), "forbidden").await;
        user.refused("room-message", json!({ "room": room, "message": "x" }), "forbidden").await;
        assert_eq!(user.done("room-history", json!({ "room": room })).await["messages"], json!([]));
    }
    admin.refused("send-message", json!({ "room": "vip:1", "content": "x" }), "forbidden").await;
    admin.send_to("news", "the news").await;
    cluster.quiet().await;
    let received: Vec<_> = user.all("new-message").iter().map(|message| message["content"].clone()).collect();
    assert_eq!(received, ["the news"]);
    for event in ["message", "room-message"] {
        assert!(admin.all(event).is_empty(), "{event} was refused");
    }
    // A rule applies to its pattern, not to similar names.
    for room in ["staff-1", "news-1"] {
        user.join(room).await;
        user.send_to(room, "x").await;
        user.done("leave-room", json!(room)).await;
    }
    assert!(admin.all("error").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_number_of_rooms_per_socket_is_limited() {
    let cluster = cluster().await;
    let (client, another) = (cluster.client("ana").await, cluster.client("ana").await);
    for room in 1..=MOST_ROOMS {
        client.join(&room.to_string()).await;
    }
    client.refused("join-room", json!("0"), "too_many_rooms").await;
    client.refused("send-message", json!({ "room": "0", "content": "x" }), "not_in_room").await;
    assert_members(&another, "0", &[]).await;
    client.join("1").await;
    another.join("0").await;
    client.done("leave-room", json!("1")).await;
    client.join("0").await;
}

#[tokio::test(start_paused = true)]
async fn room_members_is_for_users_that_may_join_and_a_room_without_members_has_none() {
    let cluster = cluster().await;
    let [member, stranger] = cluster.clients().await;
    assert_members(&stranger, "r", &[]).await;
    member.join("r").await;
    assert_members(&stranger, "r", &[&member]).await;
    for data in [json!({ "room": "user:1" }), json!({})] {
        let answer = stranger.refused("room-members", data, "validation_failed").await;
        assert!(answer["message"].as_str().unwrap().contains("room"), "{answer}");
    }
}
