//! The facts about sessions pair up, in any order of claims, evictions, releases, restores and deaths of nodes.

use std::collections::HashMap;

use jackfield_cluster::{
    connects::{Connected, Granted},
    facts::{Kind, Kinds},
    ids::{Incarnation, RecordId, SocketId},
    log::Position,
    recovery::Wish,
    sessions::{EndReason, Ended, HeldSession, OnConflict, Policy},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;

use crate::{
    facts::{all, with_facts},
    fixture::{Backend, Node, contract, session_ref},
};

contract!(starts_and_ends_alternate_and_agree_with_the_sessions);

const USERS: usize = 2;
const SESSIONS: usize = 5;
const NODES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Claim { user: usize, session: usize, node: usize, reject: bool, limit: u32, resume: bool, dead: Option<usize> },
    Release { user: usize, session: usize, node: usize, is_final: bool },
    Restore { user: usize, session: usize, node: usize, limit: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    let (user, session, node, limit) = (0..USERS, 0..SESSIONS, 0..NODES, 0..3_u32);
    let claim = (user.clone(), session.clone(), node.clone(), any::<bool>(), limit.clone(), any::<bool>());
    prop_oneof![
        3 => (claim, prop::option::weighted(0.3, 0..NODES)).prop_map(
            |((user, session, node, reject, limit, resume), dead)| {
                Step::Claim { user, session, node, reject, limit, resume, dead }
            }
        ),
        2 => (user.clone(), session.clone(), node.clone(), any::<bool>())
            .prop_map(|(user, session, node, is_final)| Step::Release { user, session, node, is_final }),
        2 => (user, session, node, limit)
            .prop_map(|(user, session, node, limit)| Step::Restore { user, session, node, limit }),
    ]
}

fn incarnation(node: usize) -> Incarnation {
    format!("n{node}:1").as_str().into()
}

fn session_id(user: usize, session: usize) -> String {
    format!("u{user}-s{session}")
}

/// The test's memory of claims: each session's generation, and each user's last record.
#[derive(Default)]
struct Memory {
    generations: HashMap<(usize, usize), (u64, Option<RecordId>)>,
    records: HashMap<usize, RecordId>,
}

async fn run(node: &Node, memory: &mut Memory, step: &Step) {
    let cluster = &node.cluster;
    match *step {
        Step::Claim { user, session, node, reject, limit, resume, dead } => {
            let reference = session_ref(&format!("u{user}"), &session_id(user, session));
            let on_conflict = if reject { OnConflict::Reject } else { OnConflict::Evict };
            let new = RecordId::random();
            let resume = memory.records.get(&user).copied().filter(|_| resume);
            let socket = SocketId::random();
            let wish = Wish { new, resume, namespace: "/".into(), socket, token: Default::default() };
            let dead: Vec<Incarnation> = dead.into_iter().map(incarnation).collect();
            let policy = Policy { limit, on_conflict };
            let claimed = cluster.connects.connect(&reference, &incarnation(node), policy, &dead, Some(&wish)).await;
            if let Connected::Granted(Granted { generation, record, .. }) = claimed.unwrap() {
                let record = if record.is_some() { resume } else { Some(new) };
                memory.generations.insert((user, session), (generation, record));
                memory.records.extend(record.map(|record| (user, record)));
            }
        }
        Step::Release { user, session, node, is_final } => {
            let session = session_ref(&format!("u{user}"), &session_id(user, session));
            let ended = Ended { session, is_final, reason: EndReason::Client };
            cluster.sessions.release(&[ended], &incarnation(node)).await.unwrap();
        }
        Step::Restore { user, session, node, limit } => {
            let Some((generation, record)) = memory.generations.get(&(user, session)).copied() else { return };
            let session = session_ref(&format!("u{user}"), &session_id(user, session));
            let held = HeldSession { session, generation, seen: Position::default(), record };
            let policy = Policy { limit, on_conflict: OnConflict::Evict };
            cluster.sessions.restore(&[held], &incarnation(node), policy).await.unwrap();
        }
    }
}

/// The sessions that have begun and not ended, by the facts.
async fn open(node: &Node) -> Result<Vec<String>, TestCaseError> {
    let mut open: HashMap<String, bool> = HashMap::new();
    for fact in all(node).await {
        let data: Value = serde_json::from_str(&fact.data).unwrap();
        let session = data["session"].as_str().unwrap().to_owned();
        let is_open = open.entry(session.clone()).or_default();
        prop_assert_eq!(*is_open, fact.kind == Kind::SessionEnded, "{} of {}", fact.kind.as_str(), session);
        *is_open = fact.kind == Kind::SessionStarted;
    }
    let mut open: Vec<String> = open.into_iter().filter(|(_, is_open)| *is_open).map(|(session, _)| session).collect();
    open.sort();
    Ok(open)
}

async fn check(backend: Backend, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let fixture = with_facts(backend, Kinds::of([Kind::SessionStarted, Kind::SessionEnded]));
    let node = &fixture.nodes[0];
    let mut memory = Memory::default();
    for step in &steps {
        run(node, &mut memory, step).await;
    }
    let users: Vec<_> = (0..USERS).map(|user| format!("u{user}").as_str().into()).collect();
    let live = node.cluster.sessions.of(&users).await.unwrap();
    let mut registered: Vec<String> = live.iter().flatten().map(|live| live.session.to_string()).collect();
    registered.sort();
    prop_assert_eq!(open(node).await?, registered);
    Ok(())
}

async fn starts_and_ends_alternate_and_agree_with_the_sessions(backend: Backend) {
    let cases = match backend {
        Backend::Memory => 300,
        Backend::Redis => 40,
    };
    let runtime = tokio::runtime::Handle::current();
    let mut runner = TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
    let run =
        move || runner.run(&prop::collection::vec(step(), 1..60), |steps| runtime.block_on(check(backend, steps)));
    tokio::task::spawn_blocking(run).await.unwrap().unwrap();
}
