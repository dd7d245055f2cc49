//! Feeds: a client that asked for recovery comes back, on any node, and gets what it missed.

use axum::http::Method;
use jackfield_engine::Inbound;
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster};

const PRICES: &str = "/ws/v1/prices";

async fn cluster(set: &[&str]) -> TestCluster {
    let feeds = json!(["prices;read=anyone;keep=2"]);
    let feeds = format!("feeds={feeds}");
    TestCluster::with(3, &[set, &[&feeds]].concat()).await
}

async fn publish(cluster: &TestCluster, number: usize) {
    let update = json!({ "type": "UPDATE", "data": number });
    assert_eq!(cluster.call(number % 3, Method::POST, "/v1/feeds/prices", &update).await.0, 202);
}

/// A reader on this node with this `auth`, which has been greeted; and the answer to its CONNECT.
async fn connect(cluster: &TestCluster, node: usize, auth: Value) -> (Client, Value) {
    let reader = cluster.stranger(node).at(PRICES);
    let auth = auth.to_string();
    reader.send(&Inbound::Connect { namespace: PRICES, auth: Some(&auth) });
    let connected = reader.connected().await;
    reader.next("connection").await;
    cluster.quiet().await;
    (reader, connected)
}

/// The numbers that a reader received, and its last offset, as a stock client takes it: the last argument if that is
/// text.
fn received(reader: &Client) -> (Vec<u64>, Option<String>) {
    let numbers = reader.all("updates").iter().map(|update| update["data"].as_u64().unwrap()).collect();
    let last = |(_, data): (String, Vec<Value>)| data.last()?.as_str().map(str::to_owned);
    (numbers, reader.events().into_iter().filter_map(last).next_back())
}

fn back(connected: &Value, offset: &str) -> Value {
    json!({ "recover": true, "pid": connected["pid"], "offset": offset })
}

#[tokio::test(start_paused = true)]
async fn a_client_that_comes_back_on_another_node_gets_exactly_what_it_missed() {
    let cluster = cluster(&[]).await;
    for number in 0..3 {
        publish(&cluster, number).await;
    }
    cluster.quiet().await;
    let (reader, connected) = connect(&cluster, 0, json!({ "recover": true })).await;
    assert_eq!(received(&reader).0, [1, 2], "the feed keeps two");
    publish(&cluster, 3).await;
    cluster.quiet().await;
    let (numbers, offset) = received(&reader);
    assert_eq!(numbers, [1, 2, 3]);
    reader.cut();
    for number in 4..10 {
        publish(&cluster, number).await;
    }
    let (reader, again) = connect(&cluster, 1, back(&connected, &offset.unwrap())).await;
    assert_eq!(again, connected, "the same pid and the same public id");
    assert_eq!(received(&reader).0, [4, 5, 6, 7, 8, 9]);
    publish(&cluster, 10).await;
    cluster.quiet().await;
    let (numbers, offset) = received(&reader);
    assert_eq!(numbers, [4, 5, 6, 7, 8, 9, 10]);
    // Nothing was missed.
    let (reader, again) = connect(&cluster, 2, back(&connected, &offset.unwrap())).await;
    assert_eq!((again, received(&reader).0), (connected, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_client_may_have_handled_any_part_of_what_it_got() {
    let cluster = cluster(&[]).await;
    let (reader, connected) = connect(&cluster, 0, json!({ "recover": true })).await;
    for number in 0..6 {
        publish(&cluster, number).await;
    }
    cluster.quiet().await;
    let offsets: Vec<String> =
        reader.events().into_iter().filter_map(|(_, data)| Some(data.last()?.as_str()?.to_owned())).collect();
    assert_eq!(offsets.len(), 7, "the greeting has one, too");
    for (handled, offset) in offsets.iter().enumerate() {
        let (reader, again) = connect(&cluster, handled % 3, back(&connected, offset)).await;
        assert_eq!(again["pid"], connected["pid"]);
        assert_eq!(received(&reader).0, (handled as u64..6).collect::<Vec<_>>(), "after {offset}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_ask_gets_no_offsets() {
    let cluster = cluster(&[]).await;
    for auth in [json!({}), json!({ "recover": "yes" })] {
        let (reader, connected) = connect(&cluster, 0, auth).await;
        publish(&cluster, 1).await;
        cluster.quiet().await;
        assert!(connected["pid"].is_null(), "{connected}");
        assert!(reader.events().iter().all(|(_, data)| data.len() == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn all_clients_are_recovered_if_that_is_the_default() {
    let cluster = cluster(&["recovery.default=true"]).await;
    let (_, connected) = connect(&cluster, 0, json!({})).await;
    assert!(connected["pid"].is_string(), "{connected}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_recovered_begins_anew_without_an_error() {
    let cluster = cluster(&[]).await;
    let (reader, connected) = connect(&cluster, 0, json!({ "recover": true })).await;
    for number in 0..5 {
        publish(&cluster, number).await;
    }
    cluster.quiet().await;
    let offset = received(&reader).1.unwrap();
    let changed = |from: &str, to: &str| offset.replacen(from, to, 1);
    let other_epoch = format!("f1.{:014x}{}", 5, &offset[17..]);
    for foreign in
        ["", "x", "f1.", "r1.0", &changed("f1.", "f2."), &other_epoch, &changed("-00000000000", "-00000000099")]
    {
        let (reader, again) = connect(&cluster, 1, back(&connected, foreign)).await;
        assert_ne!(again["pid"], connected["pid"], "{foreign}");
        assert!(again["pid"].is_string());
        assert_eq!(received(&reader).0, [3, 4], "as for a new client");
    }
    let foreign = json!({ "recover": true, "pid": "somebody", "offset": offset });
    assert_ne!(connect(&cluster, 1, foreign).await.1["pid"], "somebody");
}

#[tokio::test(start_paused = true)]
async fn more_than_half_of_the_queue_is_not_recovered() {
    let cluster = cluster(&["limits.queue=20"]).await;
    let (reader, connected) = connect(&cluster, 0, json!({ "recover": true })).await;
    publish(&cluster, 0).await;
    cluster.quiet().await;
    let offset = received(&reader).1.unwrap();
    for (missed, is_recovered) in [(10, true), (11, false)] {
        publish(&cluster, missed).await;
        publish_until(&cluster, &reader, missed).await;
        let (back, again) = connect(&cluster, 1, back(&connected, &offset)).await;
        assert_eq!(again["pid"] == connected["pid"], is_recovered, "{missed}");
        assert_eq!(received(&back).0.len(), if is_recovered { missed } else { 2 });
    }
}

/// Publishes until this many updates follow the first.
async fn publish_until(cluster: &TestCluster, reader: &Client, missed: usize) {
    cluster.quiet().await;
    while received(reader).0.len() < missed + 1 {
        publish(cluster, missed).await;
        cluster.quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_is_kept_is_not_recovered() {
    let cluster = cluster(&[]).await;
    let (reader, connected) = connect(&cluster, 0, json!({ "recover": true })).await;
    publish(&cluster, 0).await;
    cluster.quiet().await;
    let offset = received(&reader).1.unwrap();
    reader.cut();
    for number in 0..1_001 {
        publish(&cluster, number).await;
    }
    cluster.quiet().await;
    let (_, again) = connect(&cluster, 1, back(&connected, &offset)).await;
    assert_ne!(again["pid"], connected["pid"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_to_the_node_that_takes_its_connection_for_a_live_one() {
    let cluster = cluster(&[]).await;
    let (before, connected) = connect(&cluster, 0, json!({ "recover": true })).await;
    publish(&cluster, 0).await;
    cluster.quiet().await;
    let offset = received(&before).1.unwrap();
    let (after, again) = connect(&cluster, 0, back(&connected, &offset)).await;
    assert_eq!(again, connected);
    // The end of the former connection does the new one no harm.
    for number in 1..3 {
        publish(&cluster, number).await;
        cluster.quiet().await;
        before.cut();
    }
    assert_eq!(received(&after).0, [1, 2]);
}
