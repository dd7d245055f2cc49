//! Messages of `@socket.io/redis-emitter`, as each node gets them from Redis.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rmpv::Value as Packed;
use serde_json::{Value, json};

use crate::harness::{Client, TestCluster};

fn packed(value: &Value) -> Packed {
    match value {
        Value::Null => Packed::Nil,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.as_i64().map_or(Packed::Nil, Packed::from),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => Packed::Array(items.iter().map(packed).collect()),
        Value::Object(fields) => {
            Packed::Map(fields.iter().map(|(name, value)| (name.as_str().into(), packed(value))).collect())
        }
    }
}

fn message(namespace: &str, data: Vec<Packed>, opts: &Value) -> Vec<u8> {
    let packet =
        vec![("type".into(), 2.into()), ("data".into(), Packed::Array(data)), ("nsp".into(), namespace.into())];
    let message = Packed::Array(vec!["emitter".into(), Packed::Map(packet), packed(opts)]);
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &message).unwrap();
    bytes
}

/// Emits `n`, as the emitter would.
async fn emit(cluster: &TestCluster, namespace: &str, n: u64, rooms: &[String], except: &[String]) {
    let opts = json!({ "rooms": rooms, "except": except, "flags": {} });
    let channel = match rooms {
        [room] => format!("#{namespace}#{room}#"),
        _ => format!("#{namespace}#"),
    };
    let taken = cluster.emitted(&channel, &message(namespace, vec!["n".into(), n.into()], &opts)).await;
    assert!(taken.iter().all(|taken| *taken));
}

async fn request(cluster: &TestCluster, request: &Value) {
    let taken = cluster.emitted("-request#/#", request.to_string().as_bytes()).await;
    assert!(taken.iter().all(|taken| *taken), "{request}");
}

fn numbers(client: &Client) -> Vec<u64> {
    client.all("n").iter().map(|n| n.as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn emissions_reach_their_sockets_once_in_order() {
    let cluster = TestCluster::many_sessions().await;
    let all = [
        cluster.client_on(0, "ana").await,
        cluster.client_on(1, "ana").await,
        cluster.client_on(1, "bob").await,
        cluster.client_in("/chat", 2, "bob").await,
    ];
    all[0].join("r").await;
    all[0].join("s").await;
    all[2].join("s").await;
    all[3].join("r").await;
    let id = all[2].id();
    for (n, rooms, except) in [
        (1, vec![], vec![]),
        (2, vec!["r"], vec![]),
        (3, vec!["r", "s", "r", "user:ana"], vec![]),
        (4, vec!["user:ana"], vec![]),
        (5, vec![&*id], vec![]),
        (6, vec![], vec!["s"]),
        (7, vec!["s"], vec!["user:ana"]),
        (8, vec![], vec![&*id, "r"]),
        (9, vec!["nobody", "user:nobody"], vec![]),
        (10, vec!["no room at all"], vec![]),
    ] {
        let [rooms, except] = [rooms, except].map(|names| names.into_iter().map(str::to_owned).collect::<Vec<_>>());
        emit(&cluster, "/", n, &rooms, &except).await;
    }
    emit(&cluster, "/chat", 11, &["r".to_owned()], &[]).await;
    emit(&cluster, "/elsewhere", 12, &[], &[]).await;
    cluster.quiet().await;
    let got = all.each_ref().map(numbers);
    assert_eq!(got, [vec![1, 2, 3, 4], vec![1, 3, 4, 6, 8], vec![1, 3, 5, 7], vec![11]]);
}

#[tokio::test(start_paused = true)]
async fn binary_data_and_every_kind_of_value() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.client("ana").await;
    let data =
        vec!["e".into(), 1.into(), "2".into(), Packed::Array(vec![3.into(), Packed::Binary(vec![1, 255])]), 0.5.into()];
    let opts = json!({ "rooms": [], "except": [], "flags": { "compress": false } });
    cluster.emitted("#/#", &message("/", data, &opts)).await;
    client.next("e").await;
    let (_, args) = client.events().pop().unwrap();
    assert_eq!(args, [json!(1), json!("2"), json!([3, "<01ff>"]), json!(0.5)]);
}

#[tokio::test(start_paused = true)]
async fn a_volatile_emission_skips_clients_that_do_not_read() {
    let cluster = TestCluster::nodes(1).await;
    let [fast, slow] = cluster.clients().await;
    slow.stall(1_000);
    let long = "x".repeat(20_000);
    let opts = |volatile: bool| json!({ "rooms": [], "except": [], "flags": { "volatile": volatile } });
    for (n, volatile) in [(1, true), (2, false), (3, true), (4, false)] {
        let data = vec!["n".into(), n.into(), long.as_str().into()];
        cluster.emitted("#/#", &message("/", data, &opts(volatile))).await;
    }
    assert_eq!([&fast, &slow].map(numbers), [vec![1, 2, 3, 4], vec![1, 2, 4]]);
}

/// A message after a request finds it carried out.
#[tokio::test(start_paused = true)]
async fn sockets_join_leave_and_end_in_the_order_of_the_messages() {
    let cluster = TestCluster::many_sessions().await;
    let all =
        [cluster.client_on(0, "ana").await, cluster.client_on(1, "bob").await, cluster.client_on(2, "carl").await];
    let opts = |rooms: &[&str], except: &[&str]| json!({ "rooms": rooms, "except": except });
    let room = |name: &str| [name.to_owned()];
    request(&cluster, &json!({ "type": 2, "opts": opts(&[], &["user:carl"]), "rooms": ["a", "b"] })).await;
    emit(&cluster, "/", 1, &room("a"), &[]).await;
    request(&cluster, &json!({ "type": 2, "opts": opts(&["a"], &[]), "rooms": ["c"] })).await;
    request(&cluster, &json!({ "type": 3, "opts": opts(&[&all[0].id()], &[]), "rooms": ["a"] })).await;
    emit(&cluster, "/", 2, &room("a"), &[]).await;
    emit(&cluster, "/", 3, &room("c"), &[]).await;
    request(&cluster, &json!({ "type": 6, "uid": "emitter", "data": ["hello"] })).await;
    request(&cluster, &json!({ "type": 4, "opts": opts(&["a"], &[]), "close": true })).await;
    emit(&cluster, "/", 4, &[], &[]).await;
    cluster.quiet().await;
    assert_eq!(all.each_ref().map(numbers), [vec![1, 3, 4], vec![1, 2, 3], vec![4]]);
    assert_eq!(all.each_ref().map(Client::is_disconnected), [false, true, false]);
    assert_eq!(all[1].all("session:ended")[0]["reason"], "disconnected by a backend");
}

/// Without `close`, a client leaves one namespace and stays in the other.
#[tokio::test(start_paused = true)]
async fn a_disconnect_ends_one_socket_or_the_whole_session() {
    let cluster = TestCluster::nodes(1).await;
    let main = cluster.client("ana").await;
    let chat = main.also_in("/chat").await;
    request(&cluster, &json!({ "type": 4, "opts": { "rooms": [], "except": [] }, "close": false })).await;
    cluster.quiet().await;
    assert_eq!((main.is_disconnected(), chat.is_disconnected()), (true, false));
    chat.join("r").await;
    cluster.emitted("-request#/chat#", br#"{"type":4,"opts":{"rooms":["r"],"except":[]},"close":true}"#).await;
    cluster.quiet().await;
    assert!(chat.is_disconnected());
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_change_nothing() {
    let cluster = TestCluster::nodes(1).await;
    let client = cluster.client("ana").await;
    for (channel, payload) in [
        ("#/#", &b"\xc1"[..]),
        ("#/#", b""),
        ("#/#", b"\xdd\xff\xff\xff\xff"),
        ("#/", b"\x93\xc0\xc0\xc0"),
        ("-request#/#", b"{"),
        ("-request#/#", br#"{"type":2,"rooms":["a b"]}"#),
        ("other", b""),
    ] {
        assert_eq!(cluster.emitted(channel, payload).await, [false], "{channel} {payload:?}");
    }
    emit(&cluster, "/", 1, &[], &[]).await;
    assert_eq!(numbers(&client), [1]);
}

/// A name as an emitter may use it.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(&["r0", "r1", "r2", "nowhere"][..]).prop_map(str::to_owned),
        3 => (0..4_usize).prop_map(|user| format!("user:user-{user}")),
        2 => (0..6_usize).prop_map(|socket| format!("#{socket}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any rooms, users, sockets and exceptions: exactly the sockets that a simple model names get it, each once.
    #[test]
    fn a_selection_is_what_its_names_say(
        rooms_of in prop::collection::vec(prop::collection::btree_set(0..3_usize, 0..3), 6),
        selections in prop::collection::vec((prop::collection::vec(name(), 0..4), prop::collection::vec(name(), 0..3)), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let cluster = TestCluster::with(2, &["session.policy=multi"]).await;
            let mut clients = Vec::new();
            for (index, rooms) in rooms_of.iter().enumerate() {
                let client = cluster.client_on(index % 2, format!("user-{}", index % 4).as_str()).await;
                for room in rooms {
                    client.join(&format!("r{room}")).await;
                }
                clients.push(client);
            }
            let ids: Vec<String> = clients.iter().map(Client::id).collect();
            let is_named = |index: usize, names: &[String]| names.iter().any(|name| {
                *name == format!("user:user-{}", index % 4)
                    || *name == format!("#{index}")
                    || rooms_of[index].iter().any(|room| *name == format!("r{room}"))
            });
            let real = |names: &[String]| -> Vec<String> {
                let id = |name: &String| name.strip_prefix('#').map(|index| ids[index.parse::<usize>().unwrap()].clone());
                names.iter().map(|name| id(name).unwrap_or_else(|| name.clone())).collect()
            };
            for (n, (rooms, except)) in selections.iter().enumerate() {
                emit(&cluster, "/", n as u64, &real(rooms), &real(except)).await;
            }
            cluster.quiet().await;
            for (index, client) in clients.iter().enumerate() {
                let expected = selections.iter().enumerate().filter(|(_, (rooms, except))| {
                    (rooms.is_empty() || is_named(index, rooms)) && !is_named(index, except)
                });
                let expected: Vec<u64> = expected.map(|(n, _)| n as u64).collect();
                prop_assert_eq!(numbers(client), expected, "socket {}", index);
            }
            let different: BTreeSet<_> = ids.iter().collect();
            prop_assert_eq!(different.len(), 6);
            Ok(())
        })?;
    }
}
