//! `cluster::inbox` under concurrent changes from all nodes: the test replays the pushes against a model, and checks
//! every count that a device gets and every list that is read meanwhile.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, id_of, now_millis, session_ref};
use jackfield_cluster::{
    Cluster, Terms,
    bus::Channel,
    inbox::{Keep, NotificationId, Posted},
    sessions::{OnConflict, Policy},
    wire::{BusMessage, InboxChange, UserEvent},
};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngSeed, TestRunner},
};

contract!(counts_agree_with_a_model_under_concurrent_changes);

const MULTI: Policy = Policy { limit: 0, on_conflict: OnConflict::Evict };
const MAX: usize = 12;
const AGE: Duration = Duration::from_hours(1);
/// Tasks that change the same inbox, each on one of the nodes.
const TASKS: usize = 4;
const NODES: usize = 2;
const ROUNDS: u32 = 24;

/// The next step of a task; an index selects one of the ids that the task has added.
#[derive(Debug, Clone)]
enum Step {
    /// Adds a notification that becomes too old after so many milliseconds; `None`: not during the test.
    Add(Option<u64>),
    AddAgain(usize),
    Read(usize),
    ReadAll,
    Delete(usize),
    List,
    PushCount,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Add(None)),
        2 => (0_u64..60).prop_map(|after| Step::Add(Some(after))),
        1 => any::<usize>().prop_map(Step::AddAgain),
        3 => any::<usize>().prop_map(Step::Read),
        1 => Just(Step::ReadAll),
        3 => any::<usize>().prop_map(Step::Delete),
        2 => Just(Step::List),
        1 => Just(Step::PushCount),
    ]
}

/// The state of one device, from its sessions' pushes in the order of arrival.
#[derive(Default)]
struct Device {
    /// The notifications, and whether each is unread.
    inbox: BTreeMap<NotificationId, bool>,
    /// Ids that must not be announced again.
    deleted: HashSet<NotificationId>,
    count: Option<u64>,
}

impl Device {
    fn unread(&self) -> u64 {
        self.inbox.values().filter(|unread| **unread).count() as u64
    }

    fn receive(&mut self, change: Option<InboxChange>, unread: u64) {
        match change {
            Some(InboxChange::New(body)) => {
                let new = NotificationId::parse(&body).unwrap();
                assert_eq!(self.inbox.insert(new, true), None, "announced twice");
                assert!(!self.deleted.contains(&new), "announced after its deletion");
                while self.inbox.len() > MAX {
                    self.inbox.pop_first();
                }
            }
            // The model may still contain notifications that became too old meanwhile.
            Some(InboxChange::Read(Some(read))) => {
                *self.inbox.get_mut(&read).expect("an unknown notification was read") = false;
            }
            Some(InboxChange::Read(None)) => self.inbox.values_mut().for_each(|unread| *unread = false),
            Some(InboxChange::Deleted(deleted)) => {
                self.inbox.remove(&deleted).expect("an unknown notification was deleted");
                self.deleted.insert(deleted);
            }
            None => {}
        }
        // The count is that of the model, without notifications that are too old by now.
        self.forget_old(|device| device.unread() > unread);
        assert_eq!(self.unread(), unread, "{:?}", self.inbox);
        self.count = Some(unread);
    }

    fn forget_old(&mut self, wanted: impl Fn(&Self) -> bool) {
        while wanted(self)
            && let Some(first) = self.inbox.first_entry()
            && first.key().millis() + millis(AGE) < now_millis()
        {
            first.remove();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}

fn user() -> Arc<str> {
    "u".into()
}

/// A notification whose body is its id.
fn posted(id: NotificationId) -> Posted {
    Posted { id, body: id.to_string().into(), at: "2026-01-01T00:00:00Z".into() }
}

/// Runs one task's steps and returns their number.
async fn walk(cluster: Cluster, node: usize, steps: Vec<Step>) -> usize {
    let inbox = &cluster.inbox;
    let mut added: Vec<NotificationId> = Vec::new();
    let pick = |added: &[NotificationId], index: usize| added.get(index.checked_rem(added.len())?).copied();
    let count = steps.len();
    for step in steps {
        match step {
            Step::Add(expires_after) => {
                let id =
                    expires_after.map_or_else(NotificationId::new, |after| id_of(AGE - Duration::from_millis(after)));
                inbox.add(&user(), &posted(id)).await.unwrap();
                added.push(id);
            }
            Step::AddAgain(index) => {
                if let Some(id) = pick(&added, index) {
                    inbox.add(&user(), &posted(id)).await.unwrap();
                }
            }
            Step::Read(index) => {
                if let Some(id) = pick(&added, index) {
                    inbox.mark_read(&user(), Some(id)).await.unwrap();
                }
            }
            Step::ReadAll => assert_eq!(inbox.mark_read(&user(), None).await.unwrap().unread, 0),
            Step::Delete(index) => {
                if let Some(id) = pick(&added, index) {
                    inbox.delete(&user(), id).await.unwrap();
                }
            }
            Step::List => drop(listed(&cluster).await),
            Step::PushCount => {
                let node_id = format!("n{node}").as_str().into();
                inbox.push_count(&[session_ref("u", &format!("s{node}"))], &node_id).await.unwrap();
            }
        }
    }
    count
}

/// The kept notifications, and whether each is unread. Checks that the count agrees.
async fn listed(cluster: &Cluster) -> (BTreeMap<NotificationId, bool>, u64) {
    let page = cluster.inbox.list(&user(), None, MAX).await.unwrap();
    let ids = page.notifications.iter().map(|text| (NotificationId::parse(&text.body).unwrap(), !text.read));
    let all: BTreeMap<_, _> = ids.collect();
    assert!(!page.more && page.notifications.len() == all.len());
    assert_eq!(page.unread, all.values().filter(|unread| **unread).count() as u64);
    (all, page.unread)
}

async fn follow(node: &mut Node, device: &mut Device) {
    for message in node.received().await {
        match message {
            BusMessage::ForUser { event: UserEvent::Inbox { change, unread, .. }, .. } => {
                device.receive(Some(change), unread);
            }
            BusMessage::Unread { unread, .. } => device.receive(None, unread),
            other => panic!("{other:?}"),
        }
    }
}

async fn counts_agree_with_a_model_under_concurrent_changes(backend: Backend) {
    let terms = Terms { notifications: Keep { max: MAX, age: AGE }, ..TERMS };
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let walks = prop::collection::vec(prop::collection::vec(step(), 0..30), TASKS);
    let mut steps = 0;
    for _ in 0..ROUNDS {
        let mut fixture = Fixture::with_terms(backend, NODES, terms);
        for (n, node) in fixture.nodes.iter().enumerate() {
            node.subscribe(&[Channel::Node(node.id.clone())]).await;
            let session = session_ref("u", &format!("s{n}"));
            node.cluster.connects.connect(&session, &node.id.0.as_ref().into(), MULTI, &[], None).await.unwrap();
        }
        let walks = walks.new_tree(&mut runner).unwrap().current();
        let tasks: Vec<_> = walks
            .into_iter()
            .enumerate()
            .map(|(n, steps)| tokio::spawn(walk(fixture.nodes[n % NODES].cluster.clone(), n % NODES, steps)))
            .collect();
        let mut devices: Vec<Device> = (0..NODES).map(|_| Device::default()).collect();
        for task in tasks {
            steps += task.await.unwrap();
        }
        // After a last push, the count of each device is exact, without notifications that became too old.
        for (n, node) in fixture.nodes.iter().enumerate() {
            node.cluster.inbox.push_count(&[session_ref("u", &format!("s{n}"))], &node.id).await.unwrap();
        }
        for (node, device) in fixture.nodes.iter_mut().zip(&mut devices) {
            follow(node, device).await;
        }
        let (kept, _) = listed(&fixture.nodes[0].cluster).await;
        for (node, device) in fixture.nodes.iter_mut().zip(&mut devices) {
            follow(node, device).await;
            device.forget_old(|device| device.inbox.len() > kept.len());
            assert_eq!(device.inbox, kept);
            assert_eq!(device.count, Some(device.unread()));
        }
    }
    println!("{steps} steps in {ROUNDS} rounds");
}
