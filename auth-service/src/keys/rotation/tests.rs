//! Histories of services that tick, rotate, issue tokens and change their settings, checked against the guarantees.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn policy() -> Policy {
    Policy {
        rotate_every: Duration::ZERO,
        publish_before: Duration::from_secs(600),
        token_lifetime: Duration::from_secs(7_200),
        seals: false,
    }
}

fn key(kid: &str, state: State, published: i64) -> Key {
    Key { kid: kid.into(), state, published: at(published), token_seconds: policy().token_seconds(), sealed: false }
}

/// Keys in which `a` signs, and `b` was published at 0.
fn two() -> Vec<Key> {
    vec![key("a", State::Current { since: at(0) }, 0), key("b", State::Next, 0)]
}

/// The stored keys, changed as the database does it.
struct Model {
    keys: Vec<Key>,
    made: usize,
}

impl Model {
    fn create(&mut self, state: State, now: DateTime<Utc>, policy: &Policy) {
        self.made += 1;
        let kid = format!("{:04}", self.made);
        let token_seconds = policy.token_seconds();
        self.keys.push(Key { kid, state, published: now, token_seconds, sealed: policy.seals });
    }

    fn find(&mut self, kid: &str) -> &mut Key {
        self.keys.iter_mut().find(|key| key.kid == kid).unwrap()
    }

    fn rotate(&mut self, rotation: &Rotation, now: DateTime<Utc>, policy: &Policy) {
        let retired = self.find(&rotation.retired);
        let State::Current { since } = retired.state else { panic!("{retired:?} is not current") };
        retired.state = State::Old { since, ends: rotation.ends };
        let promoted = self.find(&rotation.promoted);
        assert_eq!(promoted.state, State::Next);
        promoted.state = State::Current { since: rotation.since };
        self.create(State::Next, now, policy);
    }

    /// Everything that a service does in one round.
    fn tick(&mut self, policy: &Policy, now: DateTime<Utc>) {
        for round in 0.. {
            assert!(round < 200, "steps without end");
            match next_step(&self.keys, policy, now) {
                None => return,
                Some(Step::CreateCurrent) => self.create(State::Current { since: now }, now, policy),
                Some(Step::CreateNext) => self.create(State::Next, now, policy),
                Some(Step::Seal(kid)) => self.find(&kid).sealed = true,
                Some(Step::RaiseLifetime(kid)) => self.find(&kid).token_seconds = policy.token_seconds(),
                Some(Step::Rotate(rotation)) => self.rotate(&rotation, now, policy),
                Some(Step::Delete(kid)) => self.keys.retain(|key| key.kid != kid),
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Event {
    Wait(i64),
    Rotate { force: bool, lifetime: u64 },
    Lifetime(u64),
    Seal,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_i64..30).prop_map(Event::Wait),
        2 => (30_i64..20_000).prop_map(Event::Wait),
        2 => (any::<bool>(), 1_u64..10_000).prop_map(|(force, lifetime)| Event::Rotate { force, lifetime }),
        1 => (1_u64..10_000).prop_map(Event::Lifetime),
        1 => Just(Event::Seal),
    ]
}

proptest! {
    #[test]
    fn every_history_keeps_the_guarantees(
        events in prop::collection::vec(event(), 1..120),
        every in prop_oneof![Just(0), 60_u64..5_000],
        before in 0_u64..1_000,
    ) {
        let mut policy = Policy {
            rotate_every: Duration::from_secs(every),
            publish_before: Duration::from_secs(before),
            ..policy()
        };
        let (mut model, mut now) = (Model { keys: Vec::new(), made: 0 }, at(0));
        // By key: the end of its last token, and whether a forced rotation made it sign.
        let mut last_token: HashMap<String, DateTime<Utc>> = HashMap::new();
        let mut forced: HashMap<String, bool> = HashMap::new();
        let mut signed = String::new();
        for event in events {
            match event {
                Event::Wait(seconds) => now += TimeDelta::seconds(seconds),
                Event::Lifetime(seconds) => {
                    // See "not covered" in the module's documentation.
                    let signer = signer(&model.keys, now);
                    let by_current = signer.is_none_or(|key| matches!(key.state, State::Current { .. }));
                    let longer = Duration::from_secs(seconds) > policy.token_lifetime;
                    if by_current || !longer {
                        policy.token_lifetime = Duration::from_secs(seconds);
                    }
                }
                Event::Seal => policy.seals = true,
                // A command with a lifetime of its own, which no service uses.
                Event::Rotate { force, lifetime } => {
                    let other = Policy { token_lifetime: Duration::from_secs(lifetime), ..policy };
                    if let Ok(rotation) = rotation(&model.keys, &other, now, force) {
                        forced.insert(rotation.promoted.clone(), force);
                        model.rotate(&rotation, now, &policy);
                    }
                }
            }
            model.tick(&policy, now);

            let states = |wanted: fn(&State) -> bool| model.keys.iter().filter(|key| wanted(&key.state)).count();
            prop_assert_eq!(states(|state| *state == State::Next), 1);
            prop_assert_eq!(states(|state| matches!(state, State::Current { .. })), 1);
            prop_assert!(model.keys.len() <= MAX_PUBLISHED);
            prop_assert!(model.keys.iter().all(|key| !key.is_over(now) && key.sealed >= policy.seals));

            let signer = signer(&model.keys, now).unwrap();
            prop_assert!(*signer.kid >= *signed, "{} signs after {signed}", signer.kid);
            signed.clone_from(&signer.kid);
            let published_for = (now - signer.published).to_std().unwrap();
            if signer.kid != "0001" {
                prop_assert!(published_for >= SETTLE);
                prop_assert!(forced.get(&signer.kid) == Some(&true) || published_for >= policy.publish_before + SETTLE);
            }
            let ends = later(now, policy.token_lifetime);
            let last = last_token.entry(signer.kid.clone()).or_insert(ends);
            *last = ends.max(*last);
            for (kid, ends) in &last_token {
                let published = model.keys.iter().any(|key| key.kid == *kid);
                prop_assert!(published || *ends <= now, "{kid} is gone, and a token of it lives until {ends}");
            }
        }
    }
}

#[test]
fn the_next_key_signs_after_it_was_published_for_long_enough() {
    let wait = |now| match rotation(&two(), &policy(), at(now), false) {
        Err(Refusal::TooRecent { kid, wait }) if kid == "b" => wait.as_secs(),
        other => panic!("{other:?}"),
    };
    assert_eq!((wait(0), wait(599)), (601, 2));
    let allowed = rotation(&two(), &policy(), at(600), false).unwrap();
    assert_eq!((allowed.retired.as_str(), allowed.promoted.as_str()), ("a", "b"));
    assert_eq!((allowed.since, allowed.ends), (at(615), at(615 + 7_201 + 60)));
    assert_eq!(rotation(&two(), &policy(), at(700), false).unwrap().since, at(700));

    let forced = rotation(&two(), &policy(), at(5), true).unwrap();
    assert_eq!((forced.since, forced.published_for), (at(15), SETTLE));
    assert_eq!(rotation(&two(), &policy(), at(100), true).unwrap().since, at(100));
}

#[test]
fn until_the_current_key_begins_the_old_one_signs() {
    let keys = [
        key("a", State::Old { since: at(0), ends: at(9_000) }, 0),
        key("b", State::Current { since: at(20) }, 5),
        key("c", State::Next, 6),
    ];
    let signer = |keys: &[Key], now| signer(keys, at(now)).map(|key| key.kid.clone());
    assert_eq!(signer(&keys, 19).as_deref(), Some("a"));
    assert_eq!(signer(&keys, 20).as_deref(), Some("b"));
    assert_eq!(signer(&two(), -5).as_deref(), Some("a"), "this clock is behind");
    assert_eq!(signer(&[], 0), None);
}

#[test]
fn a_rotation_is_due_after_the_interval_and_never_if_it_is_0() {
    let due = |every: u64, now| {
        let policy = Policy { rotate_every: Duration::from_secs(every), ..policy() };
        matches!(next_step(&two(), &policy, at(now)), Some(Step::Rotate(_)))
    };
    assert!(!due(1_000, 999) && due(1_000, 1_000) && !due(0, 1_000_000));
    assert!(!due(10, 20), "the next key is too young");
    assert!(!due(u64::MAX, 1_000_000));
}

#[test]
fn too_many_keys_are_never_published() {
    let mut keys = two();
    let old = |n: usize| key(&format!("o{n}"), State::Old { since: at(-100), ends: at(900 + n as i64) }, -200);
    keys.extend((2..MAX_PUBLISHED).map(old));
    let refusal = rotation(&keys, &policy(), at(700), true).unwrap_err();
    assert_eq!(refusal, Refusal::TooMany { until: at(902) });
    keys.pop();
    rotation(&keys, &policy(), at(700), true).unwrap();
}

#[test]
fn absurd_durations_do_no_harm() {
    let policy = Policy { token_lifetime: Duration::MAX, publish_before: Duration::MAX, ..policy() };
    assert!(matches!(rotation(&two(), &policy, at(0), false), Err(Refusal::TooRecent { .. })));
    assert!(rotation(&two(), &policy, at(0), true).unwrap().ends.timestamp() > at(0).timestamp());
}
