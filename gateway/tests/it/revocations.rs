//! Revoked tokens, inactive users and changed roles: on sockets that are connected, and on those that connect.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use jackfield_cluster::revocations::About;
use jackfield_engine::Inbound;
use jackfield_shared::time::unix_now;
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, User, is_timestamp, stock::missing_one};

fn login(id: &str) -> About {
    About::Login { id: id.into() }
}

fn roles(roles: &[&str]) -> About {
    let roles: Vec<Box<str>> = roles.iter().map(|role| (*role).into()).collect();
    About::Roles { issued_until: unix_now(), roles: Arc::from(roles) }
}

/// The client got this reason, then a DISCONNECT, and nothing after it.
async fn assert_ended(client: &Client, reason: &str) {
    client.disconnected().await;
    let ended = client.all("session:ended");
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert_eq!(ended[0]["reason"], reason);
    assert!(is_timestamp(&ended[0]["at"]));
    assert_eq!(client.events().last().unwrap().0, "session:ended");
    assert_eq!(client.packet_types().last(), Some(&"DISCONNECT"));
}

/// The code of the refusal, after which nothing else comes.
async fn refusal(cluster: &TestCluster, node: usize, user: &User) -> String {
    let stranger = cluster.stranger(node);
    stranger.connect("/", &user.token());
    let code = stranger.refusal().await;
    cluster.quiet().await;
    assert!(stranger.events().is_empty());
    code
}

#[tokio::test(start_paused = true)]
async fn a_login_ends_on_all_nodes_and_no_other() {
    let cluster = TestCluster::many_sessions().await;
    let ana = User::new("ana");
    let (phone, laptop) = (ana.clone().of_login("phone"), ana.clone().of_login("laptop"));
    let ended = [cluster.client_on(0, &phone).await, cluster.client_on(2, &phone).await];
    let others = [
        cluster.client_on(0, &laptop).await,
        cluster.client_on(1, &ana).await,
        // Another user with a login of the same name.
        cluster.client_on(2, User::new("bob").of_login("phone")).await,
    ];
    let also = ended[1].also_in("/chat").await;
    cluster.revoke("ana", login("phone"), "logout").await;
    for client in ended.iter().chain([&also]) {
        assert_ended(client, "logout").await;
    }
    for node in 0..3 {
        assert_eq!(refusal(&cluster, node, &phone).await, "token_revoked");
        drop(cluster.client_on(node, &laptop).await);
    }
    cluster.quiet().await;
    for client in &others {
        client.done("message", json!("still here")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_revokes_by_user_login_and_token() {
    let cluster = TestCluster::many_sessions().await;
    let by = async |user: &User, body: Value, other: &User| {
        let (client, stays) = (cluster.client_on(1, user).await, cluster.client_on(2, other).await);
        let answer = cluster.post(0, "/v1/users/ana/revoke", &body).await;
        assert!(is_timestamp(&answer["until"]), "{answer}");
        assert_ended(&client, body["reason"].as_str().unwrap_or("revoked")).await;
        assert_eq!(refusal(&cluster, 2, user).await, "token_revoked");
        stays.done("message", json!("still here")).await;
    };
    let ana = User::new("ana");
    let with_id = |id| User { token_id: Some(id), ..ana.clone() };
    by(&with_id("1"), json!({ "jti": "1" }), &with_id("2")).await;
    by(&ana.clone().of_login("1"), json!({ "sid": "1", "reason": "stolen" }), &ana.clone().of_login("2")).await;
    by(&ana.clone().of_login("3"), json!({ "sid": "3", "jti": "3" }), &ana.clone().of_login("2")).await;
    by(&with_id("4"), json!({ "sid": "4", "jti": "4" }), &ana.clone().of_login("2")).await;
    by(&ana, json!({}), &User::new("bob")).await;
    // A token that is issued later counts.
    cluster.client_on(0, User { age: -5, ..ana.clone() }).await.done("message", json!("again")).await;
}

#[tokio::test(start_paused = true)]
async fn invalid_revocations_are_refused() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.client("ana").await;
    let long = "x".repeat(257);
    for body in
        [json!({ "sid": "" }), json!({ "jti": long }), json!({ "reason": long }), json!({ "login": "a" }), json!([])]
    {
        let (status, answer) = cluster.call(0, Method::POST, "/v1/users/ana/revoke", &body).await;
        assert_eq!((status, &answer["code"]), (StatusCode::BAD_REQUEST, &json!("validation_failed")), "{body}");
    }
    let user = "x".repeat(129);
    let (status, _) = cluster.call(0, Method::POST, &format!("/v1/users/{user}/revoke"), &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    cluster.quiet().await;
    assert!(!client.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn an_inactive_user_is_refused_until_it_is_active_again() {
    let cluster = TestCluster::nodes(2).await;
    let (ana, bob) = (cluster.client_on(0, "ana").await, cluster.client_on(1, "bob").await);
    cluster.revoke("ana", About::Active { is_active: false }, "deactivated").await;
    assert_ended(&ana, "deactivated").await;
    for node in 0..2 {
        assert_eq!(refusal(&cluster, node, &User::new("ana")).await, "user_inactive");
    }
    cluster.revoke("ana", About::Active { is_active: true }, "reactivated").await;
    cluster.quiet().await;
    cluster.client_on(1, "ana").await.done("message", json!("back")).await;
    bob.done("message", json!("never gone")).await;
}

#[tokio::test(start_paused = true)]
async fn changed_roles_count_on_live_sockets() {
    let rules = json!(["staff;join=ADMIN", "news;send=ADMIN"]);
    let cluster = TestCluster::with(2, &[&format!("rooms.rules={rules}")]).await;
    let boss = User::new("ana").with_roles(&["ADMIN"]);
    let (ana, other) =
        (cluster.client_on(0, &boss).await, cluster.client_on(1, User::new("zoe").with_roles(&["ADMIN"])).await);
    for client in [&ana, &other] {
        for room in ["staff", "news", "all"] {
            client.join(room).await;
        }
    }
    cluster.revoke("ana", roles(&["USER"]), "roles_changed").await;
    assert_eq!(ana.next("left").await, json!({ "room": "staff", "code": "forbidden" }));
    other.next_where("user-left", |left| left["room"] == "staff" && left["userId"] == "ana").await;
    other.done("send-message", json!({ "room": "staff", "content": "between us" })).await;
    ana.refused("send-message", json!({ "room": "staff", "content": "x" }), "not_in_room").await;
    ana.refused("send-message", json!({ "room": "news", "content": "x" }), "forbidden").await;
    ana.refused("join-room", json!("staff"), "forbidden").await;
    ana.done("send-message", json!({ "room": "all", "content": "x" })).await;
    cluster.quiet().await;
    assert!(!ana.all("new-message").iter().any(|message| message["room"] == "staff"));
    assert_eq!(ana.all("left").len(), 1);

    // An older token has the new roles, too, and a newer one its own.
    let again = cluster.client_on(1, &boss).await;
    again.refused("join-room", json!("staff"), "forbidden").await;
    let newer = User { age: 0, ..boss.clone() };
    cluster.revoke("ana", About::Roles { issued_until: unix_now() - 30, roles: ["USER".into()].into() }, "x").await;
    cluster.quiet().await;
    again.done("token:refresh", json!({ "token": newer.token_until(unix_now() + 7_200) })).await;
    again.join("staff").await;
    assert_eq!(other.all("user:offline").len(), 0, "nobody was disconnected");
}

#[tokio::test(start_paused = true)]
async fn a_renewed_session_rests_on_its_new_token() {
    let rules = json!(["staff;join=ADMIN"]);
    let cluster = TestCluster::with(1, &[&format!("rooms.rules={rules}")]).await;
    let first = User::new("ana").with_roles(&["ADMIN"]).of_login("1");
    let second = User { roles: vec!["USER"], valid: 7_200, ..first.clone().of_login("2") };
    let ana = cluster.client(&first).await;
    ana.join("staff").await;
    ana.done("token:refresh", json!({ "token": second.token() })).await;
    assert_eq!(ana.next("left").await["room"], "staff");
    cluster.revoke("ana", login("1"), "logout").await;
    cluster.quiet().await;
    ana.refused("token:refresh", json!({ "token": first.token() }), "validation_failed").await;
    ana.done("message", json!("still here")).await;
    cluster.revoke("ana", login("2"), "logout").await;
    assert_ended(&ana, "logout").await;
}

#[tokio::test(start_paused = true)]
async fn a_handshakes_token_that_was_revoked_since_joins_no_further_namespace() {
    let cluster = TestCluster::nodes(1).await;
    let ana = User::new("ana").of_login("1");
    let client = Client::new(cluster.transport(0, Some(&ana.token())), ana.clone());
    client.send(&Inbound::Connect { namespace: "/", auth: None });
    client.next("authenticated").await;
    client.leave_namespace();
    cluster.revoke("ana", login("1"), "logout").await;
    cluster.quiet().await;
    let chat = client.at("/chat");
    chat.send(&Inbound::Connect { namespace: "/chat", auth: None });
    assert_eq!(chat.refusal().await, "token_revoked");
}

#[tokio::test(start_paused = true)]
async fn subscriptions_to_feeds_end_with_their_tokens() {
    const FEED: &str = "/ws/v1/news";
    let cluster = TestCluster::with(1, &["feeds=news;read=anyone;update=ADMIN"]).await;
    let ana = User::new("ana").with_roles(&["ADMIN"]).of_login("1");
    let subscribed = async |user: Option<&User>| {
        let reader = cluster.stranger(0).at(FEED);
        match user {
            Some(user) => reader.connect(FEED, &user.token()),
            None => reader.send(&Inbound::Connect { namespace: FEED, auth: None }),
        }
        reader.next("connection").await;
        reader
    };
    let (reader, anyone) = (subscribed(Some(&ana)).await, subscribed(None).await);
    reader.done("updateProduct", json!({ "id": 1 })).await;
    cluster.revoke("ana", roles(&["USER"]), "roles_changed").await;
    cluster.quiet().await;
    reader.refused("updateProduct", json!({ "id": 2 }), "forbidden").await;
    cluster.revoke("ana", login("1"), "logout").await;
    assert_ended(&reader, "logout").await;
    cluster.quiet().await;
    assert!(!anyone.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn clients_that_connect_at_that_moment_end_too() {
    let cluster = TestCluster::many_sessions().await;
    let ana = User::new("ana").of_login("1");
    for round in 0..50 {
        let ana = ana.clone().of_login(Box::leak(round.to_string().into_boxed_str()));
        let clients: Vec<_> = (0..6).map(|index| cluster.stranger(index % 3)).collect();
        let revoking = async {
            // Between any two steps of the connects.
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            cluster.revoke("ana", login(&round.to_string()), "logout").await;
        };
        let connecting = async {
            for client in &clients {
                client.connect("/", &ana.token());
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(revoking, connecting);
        cluster.quiet().await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        for client in &clients {
            let last = *client.packet_types().last().unwrap();
            assert!(["DISCONNECT", "CONNECT_ERROR"].contains(&last), "round {round}: {last}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_ends_with_the_token_that_it_belongs_to() {
    let cluster = TestCluster::many_sessions().await;
    for is_revoked in [false, true] {
        let (_, client, mut ana) = missing_one(&cluster, "ana").await;
        client.cut();
        cluster.quiet().await;
        if is_revoked {
            cluster.revoke("ana", About::Tokens { issued_until: unix_now() - 30 }, "revoked").await;
            cluster.quiet().await;
        }
        // Signed in again.
        ana.user.age = 0;
        assert_eq!(ana.back(&cluster, 1).await.1, !is_revoked);
    }
}
