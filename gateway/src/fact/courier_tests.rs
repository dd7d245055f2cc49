use std::collections::{HashMap, HashSet};

use jackfield_cluster::{
    facts::{FactId, Kind},
    partition::Partition,
};
use proptest::prelude::*;

use super::*;

const EPOCH: u64 = 1;
const MINUTE: u64 = 60_000;

fn fact(number: u64, subject: u8, at: u64) -> Fact {
    let partition = Partition::new(0).unwrap();
    let data = format!("{{\"user\":\"u{subject}\"}}").into();
    Fact { id: FactId { partition, at: at * 1_000, number }, kind: Kind::UserOnline, data }
}

fn page(facts: Vec<Fact>, last: u64) -> Page {
    let end = Position { epoch: EPOCH, number: last };
    Page { facts, next: end, end, dropped: 0, reset: false }
}

fn empty() -> HookState {
    HookState { cursor: Position { epoch: EPOCH, number: 0 }, version: 0, parked: vec![] }
}

fn with(facts: Vec<Fact>) -> Courier {
    let mut courier = Courier::new(empty());
    let last = facts.last().unwrap().id.number;
    courier.push(page(facts, last), |_| true);
    courier
}

fn numbers(courier: &mut Courier, now: u64) -> Vec<Sending> {
    std::iter::from_fn(|| courier.take(now)).collect()
}

fn down() -> Outcome {
    Outcome::Down("unreachable".into())
}

fn failed() -> Outcome {
    Outcome::Failed("status_500".into())
}

fn refused() -> Outcome {
    Outcome::Refused("status_400".into())
}

#[test]
fn subjects_go_side_by_side_and_each_in_order() {
    let mut courier = with(vec![fact(1, 1, 0), fact(2, 1, 0), fact(3, 2, 0)]);
    let sent = numbers(&mut courier, 1);
    assert_eq!(sent.iter().map(|sending| sending.fact.id.number).collect::<Vec<_>>(), [1, 3]);
    let [first, third] = <[Sending; 2]>::try_from(sent).unwrap();
    courier.done(third, Outcome::Delivered, 1, 0.0);
    assert_eq!(courier.progress().unwrap().cursor.number, 0, "the first is still being sent");
    courier.done(first, Outcome::Delivered, 1, 0.0);
    assert_eq!(courier.progress().unwrap().cursor.number, 1);
    let second = courier.take(1).unwrap();
    courier.done(second, Outcome::Delivered, 1, 0.0);
    assert_eq!((courier.progress().unwrap().cursor.number, courier.progress()), (3, None));
    assert_eq!((courier.take(1), courier.wake_at(1)), (None, None));
}

#[test]
fn a_hook_that_is_down_pauses_and_nothing_is_left_out() {
    let mut courier = with((1..=20).map(|n| fact(n, n as u8, 0)).collect());
    let first = numbers(&mut courier, 0);
    assert_eq!(first.len(), IN_FLIGHT);
    for sending in first {
        courier.done(sending, down(), 10, 0.0);
    }
    // One outage, however many calls it failed.
    assert_eq!((courier.take(1_009), courier.wake_at(10)), (None, Some(1_010)));
    for (attempt, pause) in [2_000, 4_000, 8_000].into_iter().enumerate() {
        let at = courier.wake_at(0).unwrap();
        let probe = courier.take(at).unwrap();
        assert_eq!((courier.take(at), courier.wake_at(at)), (None, None), "one probe at a time");
        courier.done(probe, down(), at + 5, 0.0);
        assert_eq!(courier.wake_at(at), Some(at + 5 + pause), "attempt {attempt}");
    }
    let progress = courier.progress().unwrap();
    assert_eq!((progress.cursor.number, progress.parked, progress.dead), (0, vec![], vec![]));
    assert_eq!((&*progress.error, progress.paused_until > 0), ("unreachable", true));
    let probe = courier.take(courier.wake_at(0).unwrap()).unwrap();
    courier.done(probe, Outcome::Delivered, 20_000, 0.0);
    let progress = courier.progress().unwrap();
    assert_eq!((&*progress.error, progress.paused_until), ("", 0));
    assert_eq!(numbers(&mut courier, 20_000).len(), IN_FLIGHT);
}

#[test]
fn a_hook_that_answers_elsewhere_is_tried_at_once() {
    let mut courier = with(vec![fact(1, 1, 0)]);
    let sending = courier.take(0).unwrap();
    courier.done(sending, down(), 0, 0.0);
    courier.others_pass();
    assert!(courier.take(1).is_some());
    // A fact that fails by itself keeps its pause, and is parked because others pass.
    let mut courier = with(vec![fact(1, 1, 0)]);
    for now in [0, 10_000, 20_000] {
        let sending = courier.take(now).unwrap();
        courier.done(sending, failed(), now, 0.0);
        courier.others_pass();
        assert_eq!(courier.take(now + 999), None);
    }
    assert_eq!(courier.progress().unwrap().parked.len(), 1);
}

#[test]
fn a_refused_fact_is_parked_with_what_follows_and_others_go_on() {
    let mut courier = with(vec![fact(1, 1, 0), fact(2, 2, 0), fact(3, 1, 0)]);
    let [one, two] = <[Sending; 2]>::try_from(numbers(&mut courier, 0)).unwrap();
    courier.done(one, refused(), 0, 0.0);
    courier.done(two, Outcome::Delivered, 0, 0.0);
    courier.push(page(vec![fact(4, 1, 0), fact(5, 2, 0)], 5), |_| true);
    let five = courier.take(0).unwrap();
    assert_eq!(five.fact.id.number, 5);
    courier.done(five, Outcome::Delivered, 0, 0.0);
    let progress = courier.progress().unwrap();
    let parked: Vec<_> = progress.parked.iter().map(|parked| parked.fact.id.number).collect();
    assert_eq!((progress.cursor.number, parked), (5, vec![1, 3, 4]));
    // Another node continues: in order, and at once.
    let mut next = Courier::new(HookState { cursor: progress.cursor, version: 1, parked: progress.parked });
    for number in [1, 3, 4] {
        let sending = next.take(10).unwrap();
        assert_eq!((sending.fact.id.number, next.take(10)), (number, None));
        next.done(sending, Outcome::Delivered, 10, 0.0);
    }
    assert_eq!(next.progress().unwrap().unparked.len(), 3);
    assert_eq!(courier.wake_at(0), Some(1_000));
}

#[test]
fn a_fact_dies_with_a_failure_after_its_term() {
    let mut courier = with(vec![fact(1, 1, 0), fact(2, 1, MINUTE)]);
    let sending = courier.take(0).unwrap();
    assert_eq!(courier.done(sending, refused(), 0, 0.0), Verdict::Retried);
    let mut now = 0;
    loop {
        now = courier.wake_at(now).unwrap();
        let sending = courier.take(now).unwrap();
        assert_eq!(sending.fact.id.number, 1);
        if courier.done(sending, refused(), now, 0.0) == Verdict::Dead {
            break;
        }
        assert!(now < TERM);
    }
    assert!((TERM..TERM + 6 * MINUTE).contains(&now), "{now}");
    let progress = courier.progress().unwrap();
    assert_eq!((progress.dead.len(), &*progress.dead[0].reason, progress.unparked.len()), (1, "status_400", 0));
    assert_eq!(courier.take(now).unwrap().fact.id.number, 2);
}

#[test]
fn one_fact_that_fails_among_others_is_parked() {
    let mut courier = with((1..=40).map(|n| fact(n, n as u8, 0)).collect());
    let (mut now, mut delivered, mut failures) = (0, HashSet::new(), 0);
    while delivered.len() < 39 {
        let Some(sending) = courier.take(now) else {
            now = courier.wake_at(now).unwrap().max(now + 1);
            assert!(now < MINUTE, "one bad fact delays the others: {delivered:?}");
            continue;
        };
        if sending.fact.id.number == 7 {
            failures += 1;
            courier.done(sending, failed(), now, 0.0);
        } else {
            delivered.insert(sending.fact.id.number);
            courier.done(sending, Outcome::Delivered, now, 0.0);
        }
    }
    let progress = courier.progress().unwrap();
    assert!(failures <= ALONE_AFTER, "{failures}");
    assert!(progress.cursor.number == 40 && progress.parked.len() == 1 || progress.cursor.number == 6);
}

#[test]
fn reading_stops_when_too_much_waits() {
    let mut courier = with((1..=WINDOW as u64).map(|n| fact(n, (n % 200) as u8, 0)).collect());
    assert_eq!(courier.room(), 0);
    let sending = courier.take(0).unwrap();
    courier.done(sending, Outcome::Delivered, 0, 0.0);
    assert_eq!(courier.room(), 1);
    let parked = (1..=PARKED as u64).map(|n| Parked { fact: fact(n, 1, 0), until: TERM }).collect();
    assert_eq!(Courier::new(HookState { parked, ..empty() }).room(), 0);
}

/// How a simulated backend treats a fact.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Good,
    /// Refuses it this many times.
    Refuses(u8),
    /// Fails with it this many times.
    Fails(u8),
    Never,
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        12 => Just(Manner::Good),
        1 => (1..4_u8).prop_map(Manner::Refuses),
        1 => (1..6_u8).prop_map(Manner::Fails),
        1 => Just(Manner::Never),
    ]
}

/// The state that the back end keeps.
#[derive(Default)]
struct Store {
    cursor: u64,
    parked: Vec<Parked>,
    dead: Vec<FactId>,
}

impl Store {
    fn save(&mut self, progress: Progress) {
        assert!(progress.cursor.number >= self.cursor, "the cursor never goes back");
        self.cursor = progress.cursor.number;
        self.parked.retain(|parked| !progress.unparked.contains(&parked.fact.id));
        self.parked.extend(progress.parked);
        self.parked.sort_by_key(|parked| parked.fact.id.number);
        self.dead.extend(progress.dead.into_iter().map(|dead| dead.fact.id));
    }

    fn load(&self) -> Courier {
        let cursor = Position { epoch: EPOCH, number: self.cursor };
        Courier::new(HookState { cursor, version: 0, parked: self.parked.clone() })
    }
}

proptest! {
    /// With any failures, outages and crashes: each subject in order, nothing left out, bounded.
    #[test]
    fn every_fact_is_delivered_or_dead_in_order(
        facts in prop::collection::vec((0..5_u8, manner()), 1..60),
        outages in prop::collection::vec(0..600_000_u64, 0..4),
        crashes in prop::collection::hash_set(0..400_usize, 0..6),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 400),
    ) {
        let all: Vec<Fact> = facts.iter().zip(1..).map(|((subject, _), number)| fact(number, *subject, number)).collect();
        let mut tries: HashMap<u64, u8> = HashMap::new();
        // The facts that the backend received, with repetitions.
        let mut got: Vec<u64> = Vec::new();
        let (mut store, mut now) = (Store::default(), 0_u64);
        let mut courier = store.load();
        let mut flying: Vec<Sending> = Vec::new();
        let mut step = 0;
        loop {
            step += 1;
            prop_assert!(step < 100_000, "it comes to an end");
            if crashes.contains(&step) {
                flying.clear();
                courier = store.load();
            }
            let read = courier.read().number as usize;
            let count = courier.room().min(7).min(all.len() - read);
            let next = all[read..read + count].to_vec();
            courier.push(page(next, (read + count) as u64), |_| true);
            while let Some(sending) = courier.take(now) {
                let subject = sending.fact.subject();
                prop_assert!(flying.iter().all(|other| other.fact.subject() != subject), "one at a time");
                flying.push(sending);
                prop_assert!(flying.len() <= IN_FLIGHT);
            }
            if step % 3 == 0 {
                courier.progress().into_iter().for_each(|progress| store.save(progress));
            }
            if flying.is_empty() {
                match courier.wake_at(now) {
                    Some(at) => now = now.max(at),
                    None if courier.read().number as usize == all.len() => break,
                    None => {}
                }
                continue;
            }
            let sending = flying.swap_remove(picks[step % picks.len()].index(flying.len()));
            now += 20;
            let number = sending.fact.id.number;
            let is_out = outages.iter().any(|from| (*from..from + 50_000).contains(&now));
            let tried = tries.entry(number).or_default();
            let outcome = match facts[number as usize - 1].1 {
                _ if is_out => down(),
                Manner::Refuses(times) if *tried < times => refused(),
                Manner::Fails(times) if *tried < times => failed(),
                Manner::Never => if number.is_multiple_of(2) { refused() } else { failed() },
                _ => Outcome::Delivered,
            };
            *tried = tried.saturating_add(u8::from(!is_out));
            if outcome == Outcome::Delivered {
                let earlier = all[..number as usize - 1].iter().filter(|other| other.subject() == sending.fact.subject());
                for other in earlier {
                    let is_dead = matches!(facts[other.id.number as usize - 1].1, Manner::Never);
                    prop_assert!(is_dead || got.contains(&other.id.number), "{} before {}", number, other.id.number);
                }
                got.push(number);
            }
            courier.done(sending, outcome, now, 0.5);
        }
        courier.progress().into_iter().for_each(|progress| store.save(progress));
        prop_assert_eq!((store.cursor as usize, store.parked.len()), (all.len(), 0));
        for (index, (_, manner)) in facts.iter().enumerate() {
            let number = index as u64 + 1;
            let is_dead = store.dead.iter().any(|id| id.number == number);
            prop_assert_eq!(is_dead, matches!(manner, Manner::Never), "{:?}", manner);
            prop_assert_eq!(got.contains(&number), !is_dead);
        }
    }
}
