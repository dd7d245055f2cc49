//! The roster of the main namespace: lists, counts, and announcements of presence.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{Client, TestCluster, User, is_timestamp};

/// Time after which every list is sent: a turn for the nodes' parts, and one for the whole.
const LISTED: Duration = Duration::from_secs(1);
/// How long a user may be away before being announced offline; any lease is longer.
const GRACE: Duration = Duration::from_secs(2);
const SET: [&str; 2] = ["presence.grace=2s", "presence.lease=30s"];

/// Clients of this many users on three nodes in turn.
async fn crowd(cluster: &TestCluster, name: &str, count: usize) -> Vec<Client> {
    let mut crowd = Vec::new();
    for index in 0..count {
        crowd.push(cluster.client_on(index % 3, User::new(&format!("{name}-{index}"))).await);
    }
    crowd
}

/// The newest list of each client has exactly these sockets.
async fn assert_listed(clients: &[&Client]) {
    sleep(LISTED).await;
    let mut ids: Vec<String> = clients.iter().map(|client| client.id()).collect();
    ids.sort_unstable();
    for client in clients {
        let lists = client.all("clients-updated");
        let newest = lists.last().unwrap().as_array().unwrap();
        let mut listed: Vec<&str> = newest.iter().map(|id| id.as_str().unwrap()).collect();
        listed.sort_unstable();
        assert_eq!(listed, ids, "at {}", client.user.id);
    }
}

/// The announcements of one user.
fn about(client: &Client, event: &str, user: &str) -> Vec<Value> {
    client.all(event).into_iter().filter(|data| data["userId"] == user).collect()
}

#[tokio::test(start_paused = true)]
async fn every_socket_of_the_cluster_is_in_all_lists_until_it_disconnects() {
    let cluster = TestCluster::nodes(3).await;
    let clients = crowd(&cluster, "user", 6).await;
    assert_listed(&clients.iter().collect::<Vec<_>>()).await;
    let (first, rest) = clients.split_first().unwrap();
    first.cut();
    let mut rest: Vec<&Client> = rest.iter().collect();
    assert_listed(&rest).await;
    let back = cluster.client_on(1, &first.user).await;
    rest.push(&back);
    assert_listed(&rest).await;
}

#[tokio::test(start_paused = true)]
async fn many_connects_are_one_list_every_250_milliseconds() {
    let cluster = TestCluster::nodes(3).await;
    let observers = crowd(&cluster, "observer", 3).await;
    assert_listed(&observers.iter().collect::<Vec<_>>()).await;
    let lists = |client: &Client| client.all("clients-updated").len();
    let before: Vec<usize> = observers.iter().map(lists).collect();
    let began = Instant::now();
    let mut crowd = Vec::new();
    for index in 0..100 {
        crowd.push(cluster.client_on(index % 3, User::new(&format!("user-{index}"))).await);
        sleep(Duration::from_millis(11)).await;
    }
    assert_listed(&observers.iter().chain(&crowd).collect::<Vec<_>>()).await;
    // After the last connect, its node announces it within 250 ms, and the others show it within 250 more.
    let took = began.elapsed() - LISTED + Duration::from_millis(500);
    let most = took.as_millis().div_ceil(250) + 1;
    for (observer, before) in observers.iter().zip(before) {
        let sent = (lists(observer) - before) as u128;
        assert!(sent <= most && sent >= 4, "{sent} lists for 100 connects");
    }
    sleep(Duration::from_secs(10)).await;
    let settled: Vec<usize> = observers.iter().map(lists).collect();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(observers.iter().map(lists).collect::<Vec<_>>(), settled, "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn presence_is_announced_once_on_every_node_and_only_in_the_main_namespace() {
    let cluster = TestCluster::with(3, &SET).await;
    let observers = crowd(&cluster, "observer", 3).await;
    let in_chat = cluster.client_in("/chat", 0, "chatter").await;
    sleep(LISTED).await;

    let ana = cluster.client_on(2, "ana").await;
    cluster.quiet().await;
    let expected = |announcement: &Value| {
        assert!(is_timestamp(&announcement["timestamp"]), "{announcement}");
        assert_eq!(*announcement, json!({ "userId": "ana", "timestamp": announcement["timestamp"] }));
    };
    for observer in &observers {
        let [online] = &about(observer, "user:online", "ana")[..] else { panic!("{:?}", observer.events()) };
        expected(online);
    }
    let [online] = &about(&ana, "user:online", "ana")[..] else { panic!("{:?}", ana.events()) };
    expected(online);
    let first: Vec<String> = ana.events().into_iter().map(|(name, _)| name).take(3).collect();
    assert_eq!(first, ["authenticated", "notification:unread_count", "user:online"]);
    ana.cut();
    sleep(GRACE + Duration::from_secs(60)).await;
    for observer in &observers {
        let [offline] = &about(observer, "user:offline", "ana")[..] else { panic!("{:?}", observer.events()) };
        expected(offline);
        assert_eq!(about(observer, "user:online", "ana").len(), 1);
    }
    let names: Vec<String> = in_chat.events().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["authenticated", "notification:unread_count"]);
}

#[tokio::test(start_paused = true)]
async fn a_return_within_the_grace_is_silent_on_another_node_too() {
    let cluster = TestCluster::with(3, &SET).await;
    let observers = crowd(&cluster, "observer", 3).await;
    let (ana, bob) = (cluster.client_on(0, "ana").await, cluster.client_on(0, "bob").await);
    cluster.quiet().await;
    for client in [&ana, &bob] {
        client.cut();
    }
    sleep(GRACE - Duration::from_millis(100)).await;
    let back = cluster.client_on(1, "ana").await;
    for observer in &observers {
        assert_eq!(observer.all("user:offline").len(), 0, "the grace is not over");
    }
    sleep(Duration::from_secs(60)).await;
    for observer in &observers {
        assert_eq!(about(observer, "user:online", "ana").len(), 1);
        assert!(about(observer, "user:offline", "ana").is_empty());
        assert_eq!(about(observer, "user:offline", "bob").len(), 1, "who stayed away");
    }
    assert!(back.is_open() && !back.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn presence_subscribe_returns_the_users_that_are_online() {
    let cluster = TestCluster::nodes(3).await;
    let observer = cluster.client_on(0, "observer").await;
    let _online = (cluster.client_on(1, "ana").await, cluster.client_on(2, "bob").await);
    let mut answer = observer.ask("presence:subscribe", json!({ "userIds": ["bob", "ana", "eve"] })).await;
    answer["online"].as_array_mut().unwrap().sort_unstable_by_key(ToString::to_string);
    assert_eq!(answer, json!({ "status": "ok", "online": ["ana", "bob"] }));
    let none = observer.ask("presence:subscribe", json!({ "userIds": [] })).await;
    assert_eq!(none, json!({ "status": "ok", "online": [] }));
    let many = |count| json!({ "userIds": (0..count).map(|n| format!("user-{n}")).collect::<Vec<_>>() });
    observer.done("presence:subscribe", many(500)).await;
    for wrong in [many(501), json!({ "userIds": "all" })] {
        let message = observer.invalid("presence:subscribe", &[wrong], None).await;
        assert!(message.contains("userIds"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_maximum_there_is_a_count_and_below_it_the_list_again() {
    let cluster = TestCluster::with(3, &["roster.max=5"]).await;
    let few = crowd(&cluster, "few", 4).await;
    let few: Vec<&Client> = few.iter().collect();
    assert_listed(&few).await;
    let more = crowd(&cluster, "more", 4).await;
    sleep(LISTED).await;
    for client in few.iter().copied().chain(&more) {
        assert_eq!(client.all("clients-count").last(), Some(&json!({ "count": 8 })));
        assert!(client.all("clients-updated").iter().all(|list| list.as_array().unwrap().len() <= 5));
    }
    let before: Vec<usize> = few.iter().map(|client| client.all("clients-updated").len()).collect();
    drop(more);
    assert_listed(&few).await;
    for (client, before) in few.iter().zip(before) {
        assert!(client.all("clients-updated").len() > before, "a new list");
    }
}

#[tokio::test(start_paused = true)]
async fn above_the_maximum_presence_is_sent_only_to_subscribers_by_their_newest_list() {
    let cluster = TestCluster::with(3, &["roster.max=5", SET[0], SET[1]]).await;
    let crowd = crowd(&cluster, "user", 7).await;
    sleep(LISTED).await;
    let [watcher, former, others @ ..] = &crowd[..] else { unreachable!() };
    watcher.done("presence:subscribe", json!({ "userIds": ["ana", "bob"] })).await;
    former.done("presence:subscribe", json!({ "userIds": ["ana"] })).await;
    former.done("presence:subscribe", json!({ "userIds": ["bob"] })).await;
    let before: Vec<[usize; 2]> = others.iter().map(announcements).collect();

    for user in ["ana", "bob"] {
        cluster.client_on(2, user).await.cut();
    }
    sleep(GRACE + Duration::from_secs(60)).await;
    for event in ["user:online", "user:offline"] {
        for (user, to_former) in [("ana", 0), ("bob", 1)] {
            assert_eq!(about(watcher, event, user).len(), 1, "{event} {user}");
            assert_eq!(about(former, event, user).len(), to_former, "{event} {user}");
        }
    }
    assert_eq!(others.iter().map(announcements).collect::<Vec<_>>(), before);
}

/// How many announcements a client has received.
fn announcements(client: &Client) -> [usize; 2] {
    ["user:online", "user:offline"].map(|event| client.all(event).len())
}
