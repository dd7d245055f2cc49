//! Feeds: permissions to read and to update, one order for all readers, and independence of sessions.

use axum::http::Method;
use futures_util::future::join_all;
use jackfield_engine::{CloseReason, Inbound};
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, User, is_timestamp};

const PRODUCTS: &str = "/ws/v1/productos";
const ORDERS: &str = "/ws/v1/pedidos";
const GREETING: &str = "Updates Notifications WS: Productos - Tienda API NestJS";
const UPDATED: &str = "Se ha actualizado un producto";

/// Three nodes with the feed of the contract, and one that is for holders of a token and keeps three updates.
async fn cluster() -> TestCluster {
    let feeds = json!([
        format!("productos;greeting={GREETING};read=anyone;update=ADMIN+SUPERUSER"),
        "pedidos;greeting=Pedidos, al momento;entity=ORDERS;read=token;update=*;keep=3",
    ]);
    TestCluster::with(3, &[&format!("feeds={feeds}")]).await
}

fn admin() -> User {
    User::new("admin").with_roles(&["ADMIN", "USER"])
}

/// Sends a CONNECT, with a token or without.
fn connect(client: &Client, namespace: &str, token: Option<&str>) {
    match token {
        Some(token) => client.connect(namespace, token),
        None => client.send(&Inbound::Connect { namespace, auth: None }),
    }
}

/// A reader over a connection of its own, which has been greeted.
async fn reading(cluster: &TestCluster, node: usize, feed: &str, user: Option<&User>) -> Client {
    let reader = cluster.stranger(node).at(feed);
    connect(&reader, feed, user.map(User::token).as_deref());
    reader.next("connection").await;
    reader
}

/// A reader of the products over the connection of a client.
async fn also_reading(client: &Client) -> Client {
    let reader = client.at(PRODUCTS);
    reader.connect(PRODUCTS, &client.user.token());
    reader.next("connection").await;
    reader
}

/// A reader of the products on each node, without a token.
async fn on_each(cluster: &TestCluster) -> [Client; 3] {
    [
        reading(cluster, 0, PRODUCTS, None).await,
        reading(cluster, 1, PRODUCTS, None).await,
        reading(cluster, 2, PRODUCTS, None).await,
    ]
}

/// The `data` of all updates so far.
fn data(reader: &Client) -> Vec<Value> {
    reader.all("updates").into_iter().map(|mut update| update["data"].take()).collect()
}

/// All events so far, the greeting too: names and first arguments.
fn received(reader: &Client) -> Vec<(String, Value)> {
    reader.events().into_iter().map(|(name, data)| (name, data.into_iter().next().unwrap_or_default())).collect()
}

#[tokio::test(start_paused = true)]
async fn any_client_can_read_and_gets_a_greeting_first() {
    let cluster = cluster().await;
    let readers = on_each(&cluster).await;
    let writer = reading(&cluster, 0, PRODUCTS, Some(&admin())).await;
    assert_eq!(writer.ask("updateProduct", json!({ "id": 7 })).await, json!({ "status": "ok" }));
    cluster.quiet().await;
    for reader in readers.iter().chain([&writer]) {
        let update = json!({ "message": UPDATED, "data": { "id": 7 } });
        assert_eq!(received(reader), [("connection".into(), json!(GREETING)), ("updates".into(), update)]);
    }
}

#[tokio::test(start_paused = true)]
async fn updates_of_a_backend_on_any_node_reach_readers_on_every_node() {
    let cluster = cluster().await;
    let readers = on_each(&cluster).await;
    let mut expected = Vec::new();
    let mut ids = Vec::new();
    for node in 0..3 {
        for change in ["CREATE", "UPDATE", "DELETE"] {
            let data = json!({ "id": node, "price": 1.5, "name": "Camión \"grande\"" });
            let update = json!({ "type": change, "data": data });
            let (status, answer) = cluster.call(node, Method::POST, "/v1/feeds/productos", &update).await;
            assert_eq!(status, 202, "{answer}");
            ids.push(answer["id"].as_str().unwrap().to_owned());
            expected.push(json!({ "entity": "PRODUCTOS", "type": change, "data": data, "createdAt": null }));
        }
    }
    let prices = json!({ "type": "UPDATE", "entity": "PRECIOS", "data": null });
    ids.push(cluster.post(0, "/v1/feeds/productos", &prices).await["id"].as_str().unwrap().to_owned());
    expected.push(json!({ "entity": "PRECIOS", "type": "UPDATE", "data": null, "createdAt": null }));
    assert!(ids.is_sorted_by(|a, b| a < b), "ids sort in the order of the feed: {ids:?}");

    cluster.quiet().await;
    for reader in &readers {
        let mut updates = reader.all("updates");
        for update in &mut updates {
            assert!(is_timestamp(&update["createdAt"].take()));
        }
        assert_eq!(updates, expected);
    }
    let one = json!({ "type": "CREATE", "data": 1 });
    assert_eq!(cluster.call(1, Method::POST, "/v1/feeds/pedidos", &one).await.0, 202);
    assert_eq!(cluster.call(1, Method::POST, "/v1/feeds/nothing", &one).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn all_readers_receive_one_order_from_any_sender_on_any_node() {
    let cluster = cluster().await;
    let readers = on_each(&cluster).await;
    let writers = join_all((0..3).map(|node| {
        let cluster = &cluster;
        async move { reading(cluster, node, PRODUCTS, Some(&admin())).await }
    }))
    .await;
    join_all(writers.iter().enumerate().map(|(from, writer)| async move {
        for number in 0..60 {
            writer.done("updateProduct", json!({ "from": from, "number": number })).await;
        }
    }))
    .await;
    cluster.quiet().await;
    let order = data(&readers[0]);
    assert_eq!(order.len(), 180);
    for reader in readers.iter().chain(&writers) {
        assert_eq!(data(reader), order);
    }
    for from in 0..3 {
        let of_one: Vec<_> = order.iter().filter(|data| data["from"] == from).map(|data| &data["number"]).collect();
        assert_eq!(of_one, (0..60).map(Value::from).collect::<Vec<_>>().iter().collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn any_json_may_be_an_update_and_arrives_unchanged() {
    let cluster = cluster().await;
    let reader = reading(&cluster, 0, PRODUCTS, None).await;
    let writer = reading(&cluster, 1, PRODUCTS, Some(&admin())).await;
    let object = json!({ "id": 1, "name": "a \"b\" \u{2028} ñ" });
    let mut values =
        vec![object, json!([1, [2]]), json!("text"), json!(1.5), json!(false), json!(null), json!({}), json!([])];
    for value in &values {
        writer.done("updateProduct", value.clone()).await;
    }
    writer.emit_with("updateProduct", &[]);
    values.push(Value::Null);
    cluster.quiet().await;
    assert_eq!(data(&reader), values);
}

#[tokio::test(start_paused = true)]
async fn update_product_requires_a_role_that_the_feed_names_and_works_only_in_feeds() {
    let cluster = cluster().await;
    let witness = reading(&cluster, 2, PRODUCTS, None).await;
    let nobody = reading(&cluster, 0, PRODUCTS, None).await;
    let somebody = reading(&cluster, 0, PRODUCTS, Some(&User::new("ana"))).await;
    for reader in [&nobody, &somebody] {
        reader.refused("updateProduct", json!({ "id": 1 }), "forbidden").await;
        reader.emit("updateProduct", json!({ "id": 1 }));
        let mut error = reader.next("error").await;
        assert!(error["message"].take().is_string());
        let expected = json!({ "status": "error", "code": "forbidden", "event": "updateProduct", "message": null });
        assert_eq!(error, expected);
    }
    let chatting = cluster.client_on(0, &admin()).await;
    chatting.refused("updateProduct", json!({ "id": 1 }), "unknown_event").await;

    let superuser = User::new("root").with_roles(&["SUPERUSER"]);
    let superuser = reading(&cluster, 1, PRODUCTS, Some(&superuser)).await;
    superuser.done("updateProduct", json!("from the superuser")).await;
    cluster.quiet().await;
    assert_eq!(data(&witness), ["from the superuser"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_the_namespaces_are_unknown_in_feeds_and_not_delivered_there() {
    let cluster = cluster().await;
    let reader = reading(&cluster, 0, PRODUCTS, Some(&admin())).await;
    for event in ["send-message", "join-room", "message-client", "private-message", "notification:list", "echo"] {
        reader.refused(event, json!({ "room": "r", "content": "c", "message": "m" }), "unknown_event").await;
    }
    let main = cluster.client_on(1, "ana").await;
    let friend = cluster.client_on(2, &admin()).await;
    friend.done("private-message", json!({ "to": "ana", "content": "psst" })).await;
    main.next("private-message").await;
    main.done("message-client", json!({ "message": "to all" })).await;
    main.next("message-server").await;
    reader.done("updateProduct", json!("last")).await;
    cluster.quiet().await;
    let update = json!({ "message": UPDATED, "data": "last" });
    assert_eq!(received(&reader), [("connection".into(), json!(GREETING)), ("updates".into(), update)]);
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_not_configured_is_refused() {
    let cluster = cluster().await;
    for namespace in ["/ws/v1/nothing", "/ws/v1/", "/ws/v1/productos/", "/ws/v1/PRODUCTOS", "/ws/v2/productos"] {
        let client = cluster.stranger(0).at(namespace);
        client.connect(namespace, &admin().token());
        assert_eq!(client.refusal().await, "invalid_namespace", "{namespace}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_must_be_valid_if_one_is_given_and_a_feed_for_token_holders_requires_one() {
    let cluster = cluster().await;
    let ana = User::new("ana");
    let expired = User { valid: 0, ..ana.clone() }.token();
    let good = ana.token();
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    for (namespace, token, code) in [
        (PRODUCTS, Some(&expired), "token_expired"),
        (PRODUCTS, Some(&forged), "invalid_token"),
        (ORDERS, Some(&expired), "token_expired"),
        (ORDERS, None, "missing_token"),
    ] {
        let client = cluster.stranger(0).at(namespace);
        connect(&client, namespace, token.map(String::as_str));
        assert_eq!(client.refusal().await, code, "{namespace}");
        cluster.quiet().await;
        assert_eq!(client.events(), []);
    }
    let reader = reading(&cluster, 0, ORDERS, Some(&ana)).await;
    assert_eq!(received(&reader), [("connection".into(), json!("Pedidos, al momento"))]);
}

#[tokio::test(start_paused = true)]
async fn new_readers_receive_the_kept_updates_in_order_before_live_ones() {
    let cluster = cluster().await;
    let ana = User::new("ana");
    let writer = reading(&cluster, 0, ORDERS, Some(&ana)).await;
    for number in 0..5 {
        writer.done("updateProduct", json!(number)).await;
    }
    // Not quiet yet: a node may have some of them still to come, and its reader gets each of them once either way.
    let readers = join_all((0..3).map(|node| reading(&cluster, node, ORDERS, Some(&ana)))).await;
    for number in 5..8 {
        writer.done("updateProduct", json!(number)).await;
    }
    cluster.quiet().await;
    for reader in &readers {
        assert_eq!(received(reader)[0].0, "connection");
        let numbers: Vec<_> = data(reader).iter().map(|number| number.as_u64().unwrap()).collect();
        assert!(numbers[0] <= 2, "{numbers:?}");
        assert_eq!(numbers, (numbers[0]..8).collect::<Vec<_>>());
    }
    for node in 0..3 {
        let late = reading(&cluster, node, ORDERS, Some(&ana)).await;
        cluster.quiet().await;
        assert_eq!(received(&late)[0].0, "connection");
        assert_eq!(data(&late), [5, 6, 7]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_claims_no_session_is_no_presence_and_outlives_the_session_beside_it() {
    let cluster = cluster().await;
    let witness = cluster.client_on(2, "bob").await;
    let chat = cluster.client_on(0, "ana").await;
    let reader = reading(&cluster, 1, PRODUCTS, Some(&chat.user)).await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let mut present = [chat.id(), witness.id()];
    present.sort_unstable();
    for client in [&chat, &witness] {
        let mut listed: Vec<String> = serde_json::from_value(client.all("clients-updated").pop().unwrap()).unwrap();
        listed.sort_unstable();
        assert_eq!(listed, present);
    }
    assert!(!chat.is_disconnected() && chat.all("session:replaced").is_empty());

    let beside = also_reading(&chat).await;
    let newer = cluster.client_on(1, "ana").await;
    chat.disconnected().await;
    let writer = reading(&cluster, 2, PRODUCTS, Some(&admin())).await;
    writer.done("updateProduct", json!("after the session")).await;
    cluster.quiet().await;
    for one in [&reader, &beside] {
        assert_eq!(data(one), ["after the session"]);
        assert!(one.is_open() && !one.is_disconnected());
    }

    // A client that leaves the feed receives no more of it; the rest of its connection goes on.
    let left = also_reading(&newer).await;
    left.leave_namespace();
    writer.done("updateProduct", json!("after leaving")).await;
    newer.done("message", json!("still here")).await;
    cluster.quiet().await;
    assert_eq!(data(&reader), ["after the session", "after leaving"]);
    assert_eq!(data(&left), Vec::<Value>::new());

    let _absent = reading(&cluster, 0, PRODUCTS, Some(&User::new("carl"))).await;
    let presence = witness.done("presence:subscribe", json!({ "userIds": ["carl", "ana"] })).await;
    assert_eq!(presence["online"], json!(["ana"]));
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_by_a_backend_ends_all_feeds_of_that_user_on_every_node_and_no_others() {
    let cluster = cluster().await;
    let ana = User::new("ana");
    let session = cluster.client_on(2, &ana).await;
    let mut mine = vec![also_reading(&session).await, reading(&cluster, 0, ORDERS, Some(&ana)).await];
    for node in 0..3 {
        mine.push(reading(&cluster, node, PRODUCTS, Some(&ana)).await);
    }
    mine.push(session);
    let mut others = Vec::from(on_each(&cluster).await);
    others.push(reading(&cluster, 1, PRODUCTS, Some(&User::new("bob"))).await);

    let reason = json!({ "reason": "enough \"now\"" });
    let (status, answer) = cluster.call(1, Method::POST, "/v1/users/ana/disconnect", &reason).await;
    assert_eq!((status.as_u16(), answer), (202, json!({ "sessions": 1 })));
    for one in &mine {
        one.disconnected().await;
    }
    let writer = reading(&cluster, 2, PRODUCTS, Some(&admin())).await;
    writer.done("updateProduct", json!("after")).await;
    cluster.quiet().await;
    for one in &mine {
        let ended = one.all("session:ended");
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0]["reason"], "enough \"now\"");
        assert!(is_timestamp(&ended[0]["at"]));
        assert_eq!(one.events().last().unwrap().0, "session:ended");
    }
    for other in &others {
        assert_eq!(data(other), ["after"]);
        assert!(other.is_open() && !other.is_disconnected());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_floods_is_disconnected_and_no_other() {
    let cluster = TestCluster::with(1, &["limits.eventRate=100"]).await;
    let witness = reading(&cluster, 0, PRODUCTS, None).await;
    let flooding = reading(&cluster, 0, PRODUCTS, None).await;
    for number in 0..3_000 {
        flooding.emit("updateProduct", json!(number));
    }
    flooding.disconnected().await;
    assert_eq!(flooding.all("error").last().unwrap()["code"], "rate_limited");
    assert_eq!(flooding.closed().await, CloseReason::Flooding);
    witness.refused("updateProduct", json!(1), "forbidden").await;
    assert!(witness.is_open() && !witness.is_disconnected());
}
