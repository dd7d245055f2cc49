//! The nodes of one cluster, in memory or over Redis, with a prefix for each test. The settings of the Redis are those of a
//! gateway, from variables with `TEST_` before the name, such as `TEST_REDIS_URL`.

use std::{
    future::Future,
    io::Write as _,
    sync::Once,
    time::{Duration, SystemTime},
};

use crate::direct::Direct;
use jackfield_cluster::{
    Cluster, MemoryCluster, RedisSettings, Terms,
    bus::{BusEvent, BusEvents, Channel},
    facts::FactTerms,
    ids::{Incarnation, NodeId, SessionRef, random_id},
    inbox::{Keep, NotificationId},
    over_redis,
    partition::Partition,
    sessions::{EndReason, Ended},
    wire::BusMessage,
};
use jackfield_shared::{
    lifecycle::Lifecycle,
    settings,
    settings::{Sources, load},
};

/// Short, so that tests do not wait long, but long enough for a busy machine to renew a lease in time.
pub const TERMS: Terms = Terms {
    lease: Duration::from_millis(1_200),
    grace: Duration::from_millis(700),
    announce_max: 3,
    notifications: Keep { max: 1_000, age: Duration::from_hours(1) },
    user_events: Duration::from_mins(1),
    recovery: Duration::from_mins(1),
    facts: FactTerms::OFF,
};
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The back end that a suite runs against.
#[derive(Clone, Copy)]
pub enum Backend {
    Memory,
    Redis,
}

/// One node.
pub struct Node {
    pub id: NodeId,
    pub cluster: Cluster,
    pub events: BusEvents,
}

/// The nodes of one cluster. Dropping it ends their background work.
pub struct Fixture {
    pub nodes: Vec<Node>,
    /// The beginning of all keys in Redis.
    pub prefix: String,
    lifecycle: Lifecycle,
}

impl Fixture {
    pub fn with_nodes(backend: Backend, count: usize) -> Self {
        Self::with_terms(backend, count, TERMS)
    }

    pub fn with_terms(backend: Backend, count: usize, terms: Terms) -> Self {
        let lifecycle = Lifecycle::new();
        let ids = (0..count).map(|n| NodeId::from(format!("n{n}").as_str()));
        let prefix = format!("test-{}", random_id());
        let nodes: Vec<_> = match backend {
            Backend::Memory => {
                let cluster = MemoryCluster::new(terms);
                ids.map(|id| (id, cluster.join())).collect()
            }
            Backend::Redis => {
                let settings = redis().expect("checked before the test began");
                let topology = || settings.topology().unwrap();
                ids.map(|id| (id.clone(), over_redis(topology(), &prefix, &id, terms, &lifecycle))).collect()
            }
        };
        let nodes = nodes.into_iter().map(|(id, (cluster, events))| Node { id, cluster, events }).collect();
        Self { nodes, prefix, lifecycle }
    }

    /// Over Redis: what nodes find after a failover or a restart of the partition's server. Without a name the term is
    /// unknown.
    pub async fn begin_term(&self, partition: Partition, name: &str) {
        let key = format!("{}:{{{}}}:term", self.prefix, partition.tag());
        let command = if name.is_empty() { ::redis::Cmd::del(&key) } else { ::redis::Cmd::set(&key, name) };
        let mut written = 0;
        // Each of several Redis has a term; replicas, and nodes of a Cluster that do not have the partition, refuse.
        for mut redis in Direct::connect().await.0 {
            written += usize::from(command.exec_async(&mut redis).await.is_ok());
        }
        assert!(written > 0, "no server has {key}");
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

impl Node {
    /// Subscribes as soon as the back end answers.
    pub async fn subscribe(&self, channels: &[Channel]) {
        until("subscribed", || async { self.cluster.bus.subscribe(channels).await.is_ok().then_some(()) }).await;
    }

    pub async fn register(&self) -> Incarnation {
        self.cluster.membership.register(&self.id, "127.0.0.1:1").await.unwrap().0
    }

    /// The next message on a channel that the test subscribed to.
    pub async fn next_message(&mut self) -> BusMessage {
        let next = async {
            loop {
                if let BusEvent::Message(_, payload) = self.events.recv().await.unwrap() {
                    return BusMessage::decode(&payload).unwrap();
                }
            }
        };
        tokio::time::timeout(TIMEOUT, next).await.expect("no message arrived")
    }

    /// All messages received so far: everything up to a mark that this node now sends to itself.
    pub async fn received(&mut self) -> Vec<BusMessage> {
        let mark = Channel::Node(NodeId::from(random_id().as_str()));
        self.subscribe(std::slice::from_ref(&mark)).await;
        self.cluster.bus.publish(&mark, BusMessage::RosterRequest.encode()).await.unwrap();
        let mut received = Vec::new();
        let all = async {
            loop {
                match self.events.recv().await.unwrap() {
                    BusEvent::Message(channel, _) if channel == mark => return,
                    BusEvent::Message(_, payload) => received.push(BusMessage::decode(&payload).unwrap()),
                    BusEvent::Gap(_) => {}
                }
            }
        };
        tokio::time::timeout(TIMEOUT, all).await.expect("the mark did not arrive");
        received
    }
}

/// The end of a session whose client may come back.
pub fn ended(user: &str, session: &str) -> Ended {
    Ended { session: session_ref(user, session), is_final: false, reason: EndReason::Client }
}

pub fn session_ref(user: &str, session: &str) -> SessionRef {
    SessionRef { user: user.into(), session: session.into() }
}

/// Unix milliseconds.
pub fn now_millis() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// A notification's id whose time is `ago` in the past.
pub fn id_of(ago: Duration) -> NotificationId {
    let time = format!("{:012x}", u128::from(now_millis()) - ago.as_millis());
    let random = &NotificationId::new().to_string()[13..];
    NotificationId::parse(&format!("{}-{}{random}", &time[..8], &time[8..])).unwrap()
}

/// Repeats `ask` until it returns an answer.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, asking).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

settings! {
    /// The settings that tests read from the environment.
    pub struct TestSettings {
        groups { redis: RedisSettings }
    }
}

/// The Redis to test against.
pub fn redis() -> Option<RedisSettings> {
    static HINT: Once = Once::new();
    let environment =
        std::env::vars().filter_map(|(name, value)| Some((name.strip_prefix("TEST_")?.to_owned(), value)));
    let sources = Sources { environment: environment.collect(), ..Sources::default() };
    let settings = load::<TestSettings>(&sources).unwrap().redis;
    if !settings.is_set() {
        // Written directly to standard error: the test harness hides the output of tests that pass.
        let hint = "skipped: all tests over Redis. To run them, set TEST_REDIS_URL, or run `cargo xtask test`.";
        HINT.call_once(|| drop(writeln!(std::io::stderr(), "{hint}")));
    }
    settings.is_set().then_some(settings)
}

/// The address of the Redis to test against, if it is a single one without TLS and password.
pub fn only_redis() -> Option<String> {
    let RedisSettings { url, sentinels, cluster: false, .. } = redis()? else { return None };
    (url.starts_with("redis://127.0.0.1:") && sentinels.is_empty()).then_some(url)
}

/// Number of Redis that know nothing of each other; 1 for anything else.
pub fn several(backend: Backend) -> usize {
    match (backend, redis()) {
        (Backend::Redis, Some(settings)) if !settings.cluster => settings.urls.len().max(1),
        _ => 1,
    }
}

/// Makes two tests of each `async fn case(Backend)`.
macro_rules! contract {
    ($($case:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() { super::$case(crate::fixture::Backend::Memory).await; })*
        }
        mod redis {
            $(#[tokio::test(flavor = "multi_thread")] async fn $case() {
                if crate::fixture::redis().is_some() {
                    super::$case(crate::fixture::Backend::Redis).await;
                }
            })*
        }
    };
}
pub(crate) use contract;
