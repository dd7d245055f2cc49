//! Notifications: counted on connect, and the same on every device of their user.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

use axum::http::Method;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster, is_timestamp};

/// The id of no notification.
const UNKNOWN: &str = "019aa4f0-0000-7000-8000-000000000000";

/// A device of the user on each node, which has received the count.
async fn devices(cluster: &TestCluster, user: &str) -> [Client; 3] {
    let devices =
        [cluster.client_on(0, user).await, cluster.client_on(1, user).await, cluster.client_on(2, user).await];
    for device in &devices {
        device.next("notification:unread_count").await;
    }
    devices
}

/// Notifies a user, and returns the notification's id.
async fn notify(cluster: &TestCluster, node: usize, user: &str, title: &str) -> String {
    let wanted = json!({ "title": title, "message": "m", "type": "info" });
    let (status, answer) = cluster.call(node, Method::POST, &format!("/v1/users/{user}/notifications"), &wanted).await;
    assert_eq!(status, 201, "{answer}");
    answer["notificationId"].as_str().unwrap().to_owned()
}

/// Asserts the count that each device shows, once everything has arrived.
async fn assert_all_show(cluster: &TestCluster, devices: &[&Client], count: usize) {
    cluster.quiet().await;
    for device in devices {
        let counts = device.all("notification:unread_count");
        assert_eq!(counts.last().unwrap()["unreadCount"], count, "{counts:?}");
    }
}

fn ids(list: &Value) -> Vec<&str> {
    list["notifications"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn every_socket_gets_the_count_on_connect_after_authenticated() {
    let cluster = TestCluster::many_sessions().await;
    let main = cluster.client_on(0, "ana").await;
    let first = main.next("notification:unread_count").await;
    assert_eq!(first["unreadCount"], 0);
    assert!(is_timestamp(&first["timestamp"]), "{first}");
    let chat = main.also_in("/chat").await;
    chat.next("notification:unread_count").await;
    let elsewhere = cluster.client_in("/chat", 1, "ana").await;
    elsewhere.next("notification:unread_count").await;
    for client in [&main, &chat, &elsewhere] {
        let events = client.events();
        let place = |name| events.iter().position(|(other, _)| other == name).unwrap();
        assert!(place("authenticated") < place("notification:unread_count"), "{events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn notifications_of_an_absence_are_counted_on_connect_and_listed_newest_first_in_pages() {
    let cluster = TestCluster::many_sessions().await;
    let mut sent = Vec::new();
    for number in 0..5 {
        sent.insert(0, notify(&cluster, number % 3, "ana", &format!("title {number}")).await);
    }
    let ana = cluster.client("ana").await;
    assert_eq!(ana.next("notification:unread_count").await["unreadCount"], 5);

    let all = ana.ask_with("notification:list", &[], None).await;
    assert_eq!((&all["status"], &all["unreadCount"], &all["more"]), (&json!("ok"), &json!(5), &json!(false)), "{all}");
    assert_eq!(ids(&all), sent);
    let mut newest = all["notifications"][0].clone();
    assert!(is_timestamp(&newest["createdAt"].take()), "{all}");
    let expected = json!({
        "id": sent[0], "title": "title 4", "message": "m", "type": "info", "read": false, "createdAt": null,
    });
    assert_eq!(newest, expected);

    let first = ana.done("notification:list", json!({ "limit": 2 })).await;
    assert_eq!((ids(&first), &first["more"]), (sent[..2].iter().map(String::as_str).collect(), &json!(true)));
    let rest = ana.done("notification:list", json!({ "before": sent[1], "limit": 3 })).await;
    assert_eq!((ids(&rest), &rest["more"]), (sent[2..].iter().map(String::as_str).collect(), &json!(false)));
    cluster.quiet().await;
    assert!(ana.all("notification:new").is_empty(), "they are old");
}

#[tokio::test(start_paused = true)]
async fn reading_on_one_device_updates_the_others_in_both_namespaces() {
    let cluster = TestCluster::many_sessions().await;
    let [a, b, c] = devices(&cluster, "ana").await;
    let chat = c.also_in("/chat").await;
    let other = cluster.client("bob").await;
    let first = notify(&cluster, 0, "ana", "first").await;
    let second = notify(&cluster, 1, "ana", "second").await;
    let mine = [&a, &b, &c, &chat];
    assert_all_show(&cluster, &mine, 2).await;
    for device in mine {
        let new = device.all("notification:new");
        let ids: Vec<_> = new.iter().map(|one| &one["notification"]["id"]).collect();
        assert_eq!(ids, [&first, &second]);
    }

    let success = json!({ "success": true });
    assert_eq!(a.ask("notification:mark_read", json!({ "notificationId": first })).await, success);
    assert_all_show(&cluster, &mine, 1).await;
    for device in mine {
        assert_eq!(device.all("notification:read"), [json!({ "notificationId": first, "success": true })]);
    }
    let list = chat.done("notification:list", json!({})).await;
    let read: Vec<_> = list["notifications"].as_array().unwrap().iter().map(|one| (&one["id"], &one["read"])).collect();
    assert_eq!(read, [(&json!(second), &json!(false)), (&json!(first), &json!(true))]);

    assert_eq!(chat.ask("notification:mark_read", json!({ "all": true })).await, success);
    assert_all_show(&cluster, &mine, 0).await;
    for device in mine {
        let all = json!({ "notificationId": null, "all": true, "success": true });
        assert_eq!(device.all("notification:read")[1..], [all]);
    }

    assert_eq!(a.ask("notification:mark_read", json!({ "notificationId": UNKNOWN })).await, success);
    notify(&cluster, 2, "ana", "third").await;
    assert_all_show(&cluster, &mine, 1).await;
    for device in mine {
        assert_eq!(device.all("notification:read").len(), 2, "one that does not exist was not unread: no event");
    }
    assert_eq!(other.ask_with("notification:list", &[], None).await["unreadCount"], 0);
    cluster.quiet().await;
    let events = other.events().into_iter().map(|(name, _)| name).filter(|name| name.starts_with("notification"));
    assert!(events.into_iter().all(|name| name == "notification:unread_count"), "bob got what is ana's");
}

#[tokio::test(start_paused = true)]
async fn errors_of_bad_input_name_the_reason() {
    let cluster = TestCluster::many_sessions().await;
    let ana = cluster.client("ana").await;
    for (event, payload, field) in [
        ("notification:mark_read", json!({}), "notificationId"),
        ("notification:mark_read", Value::Null, "null"),
        ("notification:mark_read", json!({ "notificationId": "1" }), "notificationId"),
        ("notification:mark_read", json!({ "notificationId": 1 }), "string"),
        // No UUID of version 7.
        (
            "notification:mark_read",
            json!({ "notificationId": "8a6e0804-2bd0-4672-b79d-d97027f9071a" }),
            "notificationId",
        ),
        ("notification:mark_read", json!({ "notificationId": UNKNOWN, "all": true }), "notificationId"),
        ("notification:list", json!({ "limit": 0 }), "limit"),
        ("notification:list", json!({ "limit": 101 }), "limit"),
        ("notification:list", json!({ "before": "x" }), "before"),
    ] {
        let answer = ana.refused(event, payload.clone(), "validation_failed").await;
        assert!(answer["message"].as_str().unwrap().contains(field), "{payload}: {answer}");
    }
}

/// Returns each count that does not follow from the events before it. The device connected with an empty inbox.
fn wrong_counts(device: &Client) -> Vec<(usize, Value)> {
    let mut unread: HashMap<String, bool> = HashMap::new();
    let mut wrong = Vec::new();
    for (index, (name, data)) in device.events().into_iter().enumerate() {
        let data = data.first().cloned().unwrap_or_default();
        let id = |value: &Value| value.as_str().unwrap().to_owned();
        match name.as_str() {
            "notification:new" => drop(unread.insert(id(&data["notification"]["id"]), true)),
            "notification:deleted" => drop(unread.remove(&id(&data["notificationId"]))),
            "notification:read" if data["all"] == true => unread.values_mut().for_each(|is_unread| *is_unread = false),
            "notification:read" => drop(unread.insert(id(&data["notificationId"]), false)),
            "notification:unread_count" if data["unreadCount"] != unread.values().filter(|unread| **unread).count() => {
                wrong.push((index, data));
            }
            _ => {}
        }
    }
    wrong
}

/// Numbers that look random, and are the same in every run.
struct Numbers(Cell<u64>);

impl Numbers {
    fn below(&self, end: usize) -> usize {
        self.0.set(self.0.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        usize::try_from(self.0.get() >> 33).unwrap() % end
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_thousand_operations_on_all_nodes_all_devices_agree_and_every_count_was_right() {
    let cluster = TestCluster::many_sessions().await;
    let devices = devices(&cluster, "ana").await;
    let numbers = Numbers(Cell::new(7));
    let (known, begun) = (RefCell::new(Vec::<String>::new()), Cell::new(0));
    let known_id = || {
        let known = known.borrow();
        if known.is_empty() { UNKNOWN.to_owned() } else { known[numbers.below(known.len())].clone() }
    };
    let inbox = "/v1/users/ana/notifications";
    let operation = async || {
        let (node, device) = (numbers.below(3), &devices[numbers.below(3)]);
        match numbers.below(100) {
            0..40 => {
                let id = notify(&cluster, node, "ana", "t").await;
                known.borrow_mut().push(id);
            }
            40..45 => {
                let many = json!({ "userIds": ["ana", "bob"], "title": "t", "message": "m", "type": "info" });
                let answer = cluster.post(node, "/v1/users/notifications", &many).await;
                known.borrow_mut().push(answer["notificationId"].as_str().unwrap().to_owned());
            }
            45..62 => {
                let path = format!("{inbox}/{}", known_id());
                let (status, answer) = cluster.call(node, Method::DELETE, &path, &Value::Null).await;
                assert!(status == 204 || status == 404, "{status} {answer}");
            }
            62..87 => {
                let read = device.ask("notification:mark_read", json!({ "notificationId": known_id() })).await;
                assert_eq!(read, json!({ "success": true }));
            }
            87..89 => {
                let read = device.ask("notification:mark_read", json!({ "all": true })).await;
                assert_eq!(read, json!({ "success": true }));
            }
            _ => {
                let list = device.done("notification:list", json!({ "limit": 100 })).await;
                let listed = list["notifications"].as_array().unwrap();
                let unread = listed.iter().filter(|one| one["read"] == false).count();
                let all = usize::try_from(list["unreadCount"].as_u64().unwrap()).unwrap();
                assert!(if list["more"] == true { unread <= all } else { unread == all }, "{list}");
            }
        }
    };
    let worker = async || {
        while begun.get() < 1_000 {
            begun.set(begun.get() + 1);
            operation().await;
        }
    };
    join_all((0..8).map(|_| worker())).await;

    let (mut stored, mut unread) = (Vec::new(), 0);
    loop {
        let before = stored.last().map(|id| format!("&before={id}")).unwrap_or_default();
        let page = cluster.get(0, &format!("{inbox}?limit=100{before}")).await;
        stored.extend(ids(&page).into_iter().map(str::to_owned));
        unread += page["notifications"].as_array().unwrap().iter().filter(|one| one["read"] == false).count();
        if page["more"] == false {
            assert_eq!(page["unreadCount"], unread);
            break;
        }
    }
    assert!(stored.len() > 100 && unread > 0, "{} stored, {unread} unread", stored.len());
    assert!(stored.is_sorted_by(|a, b| a > b), "newest first, each once");
    assert_all_show(&cluster, &devices.each_ref(), unread).await;
    for device in &devices {
        assert_eq!(wrong_counts(device), []);
    }
}
