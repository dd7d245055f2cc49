//! The contract of `cluster::presence`: each case in the cluster's scope and in a room's.

use std::{sync::Arc, time::Instant};

use jackfield_cluster::{
    presence::{Announce, Ending, Entry, Scope, Stay},
    room_name::RoomName,
    wire::BusMessage,
};

use crate::fixture::{Backend, Fixture, Node, TERMS, contract, until};

contract!(
    the_first_session_is_announced_and_the_second_is_not,
    leaving_is_announced_at_once,
    the_last_one_gone_is_announced_once_after_the_grace,
    a_return_within_the_grace_is_silent,
    a_registration_without_an_announcement_is_silent,
    a_stay_taken_over_is_not_ended_by_the_old_incarnation,
    leaving_twice_is_leaving_once,
    scopes_do_not_touch_each_other,
    many_at_once,
    members_are_counted_by_user_and_listed_with_their_profiles,
    large_rooms_get_no_announcements,
);

fn room() -> RoomName {
    RoomName::parse(&"/".into(), "r").unwrap()
}

fn scopes() -> [Scope; 2] {
    [Scope::Cluster, Scope::Room(room())]
}

/// One scope's cluster, on whose first node the test hears the announcements.
struct Case {
    fixture: Fixture,
    scope: Scope,
}

impl Case {
    async fn new(backend: Backend, scope: Scope) -> Self {
        let fixture = Fixture::with_nodes(backend, 2);
        fixture.nodes[0].subscribe(&[scope.channel()]).await;
        Self { fixture, scope }
    }

    fn node(&self, index: usize) -> &Node {
        &self.fixture.nodes[index]
    }

    fn stay(&self, user: &str, session: &str) -> Stay {
        Stay { scope: self.scope.clone(), user: user.into(), session: session.into() }
    }

    async fn register(&self, node: usize, user: &str, session: &str, by: &str, announce: Announce) -> usize {
        let entry = Entry { stay: self.stay(user, session), profile: format!("Profile of {user}").into() };
        self.node(node).cluster.presence.enter(&[entry], &by.into(), announce).await.unwrap()[0]
    }

    async fn enter(&self, node: usize, user: &str, session: &str, by: &str) -> usize {
        self.register(node, user, session, by, Announce::Yes).await
    }

    async fn leave(&self, node: usize, user: &str, session: &str, by: &str, ending: Ending) {
        let stays = [self.stay(user, session)];
        self.node(node).cluster.presence.leave(&stays, &by.into(), ending).await.unwrap();
    }

    /// Whether the user counts, in the room's list or among those online.
    async fn is_there(&self, user: &str) -> bool {
        let presence = &self.node(0).cluster.presence;
        match &self.scope {
            Scope::Cluster => presence.online(&[user.into()]).await.unwrap() == [true],
            Scope::Room(room) => {
                presence.members(room, 1_000).await.unwrap().profiles.contains(&format!("Profile of {user}"))
            }
        }
    }

    /// Settles on every node, as they all do, until the user is gone.
    async fn settled(&self, user: &str) {
        until("settled", || async {
            for node in &self.fixture.nodes {
                node.cluster.presence.settle().await.unwrap();
            }
            (!self.is_there(user).await).then_some(())
        })
        .await;
    }

    /// `+user` and `-user` for everything announced so far.
    async fn announced(&mut self) -> Vec<String> {
        let messages = self.fixture.nodes[0].received().await.into_iter();
        let user = |about: &Arc<str>| about.strip_prefix("Profile of ").unwrap_or(about).to_owned();
        let changes = messages.map(|message| match message {
            BusMessage::Arrived { about, .. } => format!("+{}", user(&about)),
            BusMessage::Departed { about, .. } => format!("-{}", user(&about)),
            other => panic!("{other:?}"),
        });
        changes.collect()
    }
}

async fn the_first_session_is_announced_and_the_second_is_not(backend: Backend) {
    for scope in scopes() {
        let mut case = Case::new(backend, scope).await;
        assert!(!case.is_there("u").await);
        case.enter(0, "u", "s1", "n0").await;
        case.enter(1, "u", "s2", "n1").await;
        case.enter(1, "u", "s2", "n1").await;
        assert!(case.is_there("u").await && !case.is_there("v").await);
        assert_eq!(case.announced().await, ["+u"]);
    }
}

async fn leaving_is_announced_at_once(backend: Backend) {
    for scope in scopes() {
        let mut case = Case::new(backend, scope).await;
        case.enter(0, "u", "s1", "n0").await;
        case.enter(0, "u", "s2", "n0").await;
        case.leave(0, "u", "s1", "n0", Ending::Left).await;
        assert_eq!(case.announced().await, ["+u"]);
        case.leave(0, "u", "s2", "n0", Ending::Left).await;
        case.leave(0, "u", "s2", "n0", Ending::Gone).await;
        assert_eq!(case.announced().await, ["-u"]);
        assert!(!case.is_there("u").await);
    }
}

async fn the_last_one_gone_is_announced_once_after_the_grace(backend: Backend) {
    for scope in scopes() {
        let mut case = Case::new(backend, scope).await;
        case.enter(0, "u", "s1", "n0").await;
        case.enter(1, "u", "s2", "n1").await;
        case.leave(0, "u", "s1", "n0", Ending::Gone).await;
        case.node(0).cluster.presence.settle().await.unwrap();
        assert_eq!(case.announced().await, ["+u"]);
        let left = Instant::now();
        case.leave(1, "u", "s2", "n1", Ending::Gone).await;
        assert!(case.is_there("u").await, "within the grace");
        case.settled("u").await;
        assert!(left.elapsed() >= TERMS.grace);
        for node in &case.fixture.nodes {
            node.cluster.presence.settle().await.unwrap();
        }
        assert_eq!(case.announced().await, ["-u"]);
        case.enter(0, "u", "s3", "n0").await;
        assert_eq!(case.announced().await, ["+u"]);
    }
}

async fn a_return_within_the_grace_is_silent(backend: Backend) {
    for scope in scopes() {
        let mut case = Case::new(backend, scope).await;
        for (user, session) in [("u", "s1"), ("gone", "g1")] {
            case.enter(0, user, session, "n0").await;
            case.leave(0, user, session, "n0", Ending::Gone).await;
        }
        case.enter(1, "u", "s2", "n1").await;
        // The other user's grace began later, and is over: so would this user's be.
        case.settled("gone").await;
        assert!(case.is_there("u").await);
        assert_eq!(case.announced().await, ["+u", "+gone", "-gone"]);
        // And a second absence has a grace of its own.
        case.leave(1, "u", "s2", "n1", Ending::Gone).await;
        case.settled("u").await;
        assert_eq!(case.announced().await, ["-u"]);
    }
}

async fn a_registration_without_an_announcement_is_silent(backend: Backend) {
    for scope in scopes() {
        let mut case = Case::new(backend, scope).await;
        case.register(1, "u", "s", "n1", Announce::No).await;
        assert!(case.is_there("u").await);
        case.enter(1, "u", "t", "n1").await;
        assert_eq!(case.announced().await, <[&str; 0]>::default());
        case.leave(1, "u", "s", "n1", Ending::Left).await;
        case.leave(1, "u", "t", "n1", Ending::Left).await;
        assert_eq!(case.announced().await, ["-u"]);
    }
}

async fn a_stay_taken_over_is_not_ended_by_the_old_incarnation(backend: Backend) {
    for scope in scopes() {
        let case = Case::new(backend, scope).await;
        case.enter(0, "u", "s1", "n0:1").await;
        case.enter(0, "u", "s1", "n0:2").await;
        case.leave(1, "u", "s1", "n0:1", Ending::Left).await;
        assert!(case.is_there("u").await);
        case.leave(1, "u", "s1", "n0:2", Ending::Left).await;
        assert!(!case.is_there("u").await);
    }
}

async fn leaving_twice_is_leaving_once(backend: Backend) {
    for scope in scopes() {
        let mut case = Case::new(backend, scope).await;
        case.enter(0, "u", "s1", "n0").await;
        case.leave(0, "u", "s1", "n0", Ending::Gone).await;
        case.leave(1, "u", "s1", "n0", Ending::Gone).await;
        case.settled("u").await;
        case.leave(1, "u", "s1", "n0", Ending::Gone).await;
        case.settled("u").await;
        assert_eq!(case.announced().await, ["+u", "-u"]);
    }
}

async fn scopes_do_not_touch_each_other(backend: Backend) {
    let mut case = Case::new(backend, Scope::Cluster).await;
    case.enter(0, "u", "s1", "n0").await;
    let other = RoomName::parse(&"/chat".into(), "r").unwrap();
    for room in [room(), other.clone()] {
        let stay = Stay { scope: Scope::Room(room), ..case.stay("u", "s1") };
        let entry = Entry { stay, profile: "p".into() };
        case.node(1).cluster.presence.enter(&[entry], &"n0".into(), Announce::Yes).await.unwrap();
    }
    let stay = Stay { scope: Scope::Room(other.clone()), ..case.stay("u", "s1") };
    case.node(1).cluster.presence.leave(&[stay], &"n0".into(), Ending::Left).await.unwrap();
    let count = async |room| case.node(0).cluster.presence.members(room, 9).await.unwrap().count;
    assert_eq!((count(&room()).await, count(&other).await), (1, 0));
    assert!(case.is_there("u").await);
    assert_eq!(case.announced().await, ["+u"]);
}

async fn many_at_once(backend: Backend) {
    let mut case = Case::new(backend, Scope::Cluster).await;
    let many: Vec<Entry> =
        (0..700).map(|n| Entry { stay: case.stay(&format!("u{n}"), &format!("s{n}")), profile: "".into() }).collect();
    let stays: Vec<Stay> = many.iter().map(|entry| entry.stay.clone()).collect();
    let presence = &case.node(0).cluster.presence;
    assert_eq!(presence.enter(&many, &"n0".into(), Announce::Yes).await.unwrap().len(), 700);
    presence.leave(&stays, &"n0".into(), Ending::Gone).await.unwrap();
    let users: Vec<Arc<str>> = stays.iter().map(|stay| Arc::clone(&stay.user)).collect();
    until("all settled", || async {
        case.node(1).cluster.presence.settle().await.unwrap();
        (!case.node(0).cluster.presence.online(&users).await.unwrap().contains(&true)).then_some(())
    })
    .await;
    let announced = case.announced().await;
    assert_eq!((announced.len(), announced.iter().filter(|one| one.starts_with('+')).count()), (1_400, 700));
}

async fn members_are_counted_by_user_and_listed_with_their_profiles(backend: Backend) {
    let case = Case::new(backend, Scope::Room(room())).await;
    assert_eq!(case.enter(0, "u", "s1", "n0").await, 1);
    assert_eq!(case.enter(1, "u", "s2", "n1").await, 1);
    assert_eq!(case.enter(1, "v", "s3", "n1").await, 2);
    let presence = &case.node(0).cluster.presence;
    let mut members = presence.members(&room(), 500).await.unwrap();
    members.profiles.sort();
    assert_eq!((members.count, members.profiles), (2, vec!["Profile of u".into(), "Profile of v".into()]));
    assert_eq!(presence.members(&room(), 1).await.unwrap().profiles.len(), 1);
}

async fn large_rooms_get_no_announcements(backend: Backend) {
    let mut case = Case::new(backend, Scope::Room(room())).await;
    for n in 0..5 {
        case.enter(0, &format!("u{n}"), &format!("s{n}"), "n0").await;
    }
    assert_eq!(case.announced().await.len(), TERMS.announce_max);
    for n in 0..5 {
        case.leave(0, &format!("u{n}"), &format!("s{n}"), "n0", Ending::Left).await;
    }
    assert_eq!(case.announced().await.len(), TERMS.announce_max);
}
