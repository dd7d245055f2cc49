//! Sockets: a client that comes back and cannot be recovered begins anew, in no room, and without an error.

use serde_json::json;

use crate::harness::{
    TestCluster, User,
    stock::{Stock, connect, missing_one},
};

async fn is_recovered(cluster: &TestCluster, stock: &Stock) -> bool {
    let (client, is_recovered) = stock.back(cluster, 0).await;
    if !is_recovered {
        client.refused("send-message", json!({ "room": "r", "content": "x" }), "not_in_room").await;
        client.enter("r", None).await;
    }
    is_recovered
}

#[tokio::test(start_paused = true)]
async fn foreign_offsets_and_records_are_not_recovered() {
    let cluster = TestCluster::many_sessions().await;
    let (_, _, ana) = missing_one(&cluster, "ana").await;
    let offset = ana.offset.clone().unwrap();
    let (head, number) = offset.rsplit_once('-').unwrap();
    let (before, epoch) = head.rsplit_once('-').unwrap();
    assert_eq!(number, "1");
    for foreign in [
        "",
        "x",
        "f1.x",
        "r1",
        &format!("{head}-zz"),
        &format!("{before}-{}-{number}", &epoch[1..]),
        &offset.replacen("r1.", "r2.", 1),
        &offset.replacen("r1.", "r1.z", 1),
    ] {
        let (_, _, stock) = missing_one(&cluster, "ana").await;
        assert!(!is_recovered(&cluster, &Stock { offset: Some(foreign.to_owned()), ..stock }).await, "{foreign}");
    }
    let stolen = Stock { user: User::new("eve"), ..ana.clone() };
    assert!(!is_recovered(&cluster, &stolen).await, "another user's");
    assert!(is_recovered(&cluster, &ana).await, "it does the record no harm");
    let unknown = Stock { pid: json!("A".repeat(40)), ..ana.clone() };
    assert!(!is_recovered(&cluster, &unknown).await);
    assert!(!is_recovered(&cluster, &Stock { pid: json!("somebody"), ..ana }).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_or_was_disconnected_is_not_recovered() {
    let cluster = TestCluster::nodes(1).await;
    let (_, client, ana) = missing_one(&cluster, "ana").await;
    client.leave_namespace();
    cluster.quiet().await;
    assert!(!is_recovered(&cluster, &ana).await, "it left");

    let (_, client, ana) = missing_one(&cluster, "ana").await;
    cluster.post(0, "/v1/users/ana/disconnect", &json!({})).await;
    client.disconnected().await;
    cluster.quiet().await;
    assert!(!is_recovered(&cluster, &ana).await, "a backend ended its session");

    let (_, client, ana) = missing_one(&cluster, "ana").await;
    let (_newer, _) = connect(&cluster, 0, &ana.user, "/", &json!({})).await;
    client.disconnected().await;
    cluster.quiet().await;
    assert!(!is_recovered(&cluster, &ana).await, "it was replaced");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_be_in_a_room_any_more_is_not_recovered() {
    let cluster = TestCluster::with(1, &["rooms.rules=[\"r;join=USER\"]", "recovery.rooms=2"]).await;
    let (_, _, mut ana) = missing_one(&cluster, "ana").await;
    ana.user.roles = vec!["GUEST"];
    let (client, is_back) = ana.back(&cluster, 0).await;
    assert!(!is_back);
    client.refused("join-room", json!("r"), "forbidden").await;

    let (_, client, mut ana) = missing_one(&cluster, "ana").await;
    client.enter("two", None).await;
    client.enter("three", None).await;
    ana.handled(&client);
    assert!(!is_recovered(&cluster, &ana).await, "too many rooms");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_kept_for_the_window() {
    let cluster = TestCluster::with(1, &["recovery.window=30s"]).await;
    for (away, expected) in [(29, true), (31, false)] {
        let (_, client, ana) = missing_one(&cluster, "ana").await;
        client.cut();
        tokio::time::sleep(std::time::Duration::from_secs(away)).await;
        assert_eq!(is_recovered(&cluster, &ana).await, expected, "after {away} s");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_half_of_the_queue_is_not_recovered() {
    let cluster = TestCluster::with(1, &["limits.queue=20"]).await;
    for (missed, expected) in [(10, true), (11, false)] {
        let (sender, client, ana) = missing_one(&cluster, "ana").await;
        client.cut();
        for number in 0..missed {
            sender.send_to("r", &number.to_string()).await;
        }
        assert_eq!(is_recovered(&cluster, &ana).await, expected, "{missed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_who_has_spent_too_much_is_not_recovered() {
    let cluster = TestCluster::with(1, &["limits.eventRate=1", "limits.eventBurst=10"]).await;
    let (_, client, ana) = missing_one(&cluster, "ana").await;
    while client.ask("echo", json!("x")).await["code"] != "rate_limited" {}
    assert!(!ana.back(&cluster, 0).await.1);
}
