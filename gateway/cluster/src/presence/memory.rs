//! [`crate::presence`] for several nodes of one process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::partition::Partition;
use crate::{
    Unavailable,
    bus::memory::MemoryNetwork,
    facts::{Kind, memory::MemoryFacts},
    ids::{Incarnation, SessionId},
    presence::{Announce, Ending, Entry, Members, NO_SESSION, PresenceTerms, Scope, Stay},
    room_name::RoomName,
    wire::BusMessage,
};

/// All stays.
#[derive(Clone)]
pub struct MemoryPresence {
    network: MemoryNetwork,
    facts: MemoryFacts,
    terms: PresenceTerms,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    scopes: HashMap<Scope, BTreeMap<Arc<str>, User>>,
    /// The users within their grace, by its end.
    due: BTreeSet<(Instant, Scope, Arc<str>)>,
}

struct User {
    profile: Arc<str>,
    sessions: HashMap<SessionId, Incarnation>,
    /// The end of the grace, once the last session has ended.
    gone_at: Option<Instant>,
}

impl State {
    /// Adds a stay. Returns whether the user is new in the scope, and how many users it then has.
    fn enter(&mut self, Stay { scope, user, session }: &Stay, profile: &Arc<str>, by: &Incarnation) -> (bool, usize) {
        let users = self.scopes.entry(scope.clone()).or_default();
        let is_new = !users.contains_key(user);
        let entry = users.entry(Arc::clone(user)).or_insert_with(|| User {
            profile: Arc::clone(profile),
            sessions: HashMap::new(),
            gone_at: None,
        });
        if let Some(at) = entry.gone_at.take() {
            self.due.remove(&(at, scope.clone(), Arc::clone(user)));
        }
        entry.sessions.insert(session.clone(), by.clone());
        (is_new, users.len())
    }
}

impl MemoryPresence {
    pub(crate) fn new(network: MemoryNetwork, terms: PresenceTerms, facts: MemoryFacts) -> Self {
        Self { network, facts, terms, state: Arc::default() }
    }

    pub(crate) fn enter(
        &self,
        entries: &[Entry],
        by: &Incarnation,
        announce: Announce,
    ) -> Result<Vec<usize>, Unavailable> {
        let mut state = self.state.lock();
        let counts = entries.iter().map(|Entry { stay, profile }| {
            let (is_new, count) = state.enter(stay, profile, by);
            if is_new && announce == Announce::Yes {
                let Stay { scope, user, session } = stay;
                // In the cluster's scope only a connect has sockets that must not get the announcement.
                let session = if *scope == Scope::Cluster { NO_SESSION.into() } else { session.clone() };
                let about = about(scope, user, profile);
                self.announce(scope, count, &BusMessage::Arrived { at: now(), session, about });
                self.record_arrival(scope, user, count);
            }
            if stay.scope == Scope::Cluster { 0 } else { count }
        });
        Ok(counts.collect())
    }

    /// A session's connect: its user is online. Returns when the user was announced, in Unix milliseconds.
    pub(crate) fn arrive(&self, stay: Stay, by: &Incarnation) -> Option<i64> {
        let mut state = self.state.lock();
        let (is_new, count) = state.enter(&stay, &"".into(), by);
        let Stay { scope, user, session } = stay;
        is_new.then(|| {
            self.record_arrival(&scope, &user, count);
            let at = now();
            self.announce(&scope, count, &BusMessage::Arrived { at, session, about: user });
            at
        })
    }

    pub(crate) fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        let mut state = self.state.lock();
        for Stay { scope, user, session } in stays {
            let Some(users) = state.scopes.get_mut(scope) else { continue };
            let Some(entry) = users.get_mut(user) else { continue };
            if entry.sessions.get(session) != Some(by) {
                continue;
            }
            entry.sessions.remove(session);
            if !entry.sessions.is_empty() {
                continue;
            }
            match ending {
                Ending::Gone => {
                    let at = Instant::now() + self.terms.grace;
                    entry.gone_at = Some(at);
                    state.due.insert((at, scope.clone(), Arc::clone(user)));
                }
                Ending::Left => self.remove(&mut state, scope, user),
            }
        }
        Ok(())
    }

    pub(crate) fn settle(&self) -> Result<(), Unavailable> {
        let now = Instant::now();
        let mut state = self.state.lock();
        while state.due.first().is_some_and(|(at, ..)| *at <= now)
            && let Some((_, scope, user)) = state.due.pop_first()
        {
            self.remove(&mut state, &scope, &user);
        }
        Ok(())
    }

    pub(crate) fn online(&self, users: &[Arc<str>]) -> Result<Vec<bool>, Unavailable> {
        let state = self.state.lock();
        let online = state.scopes.get(&Scope::Cluster);
        Ok(users.iter().map(|user| online.is_some_and(|online| online.contains_key(user))).collect())
    }

    pub(crate) fn members(&self, room: &RoomName, max: usize) -> Result<Members, Unavailable> {
        let state = self.state.lock();
        let users = state.scopes.get(&Scope::Room(room.clone()));
        let profiles = users.iter().flat_map(|users| users.values()).take(max).map(|user| user.profile.to_string());
        Ok(Members { count: users.map_or(0, BTreeMap::len), profiles: profiles.collect() })
    }

    fn remove(&self, state: &mut State, scope: &Scope, user: &Arc<str>) {
        let Some(users) = state.scopes.get_mut(scope) else { return };
        let count = users.len();
        if let Some(User { profile, .. }) = users.remove(user) {
            self.announce(scope, count, &BusMessage::Departed { at: now(), about: about(scope, user, &profile) });
            self.record_departure(scope, user, count);
        }
        if users.is_empty() {
            state.scopes.remove(scope);
        }
    }

    /// A user arrived in a scope, which then has this many members.
    fn record_arrival(&self, scope: &Scope, user: &Arc<str>, count: usize) {
        match scope {
            Scope::Cluster => self.facts.record(Kind::UserOnline, Partition::of(user), || json!({ "user": user })),
            Scope::Room(room) => {
                if count == 1 {
                    self.record_room(Kind::RoomOccupied, room, None);
                }
                self.record_room(Kind::RoomJoined, room, Some(user));
            }
        }
    }

    /// A user left a scope, which had this many members before.
    fn record_departure(&self, scope: &Scope, user: &Arc<str>, count: usize) {
        match scope {
            Scope::Cluster => self.facts.record(Kind::UserOffline, Partition::of(user), || json!({ "user": user })),
            Scope::Room(room) => {
                self.record_room(Kind::RoomLeft, room, Some(user));
                if count == 1 {
                    self.record_room(Kind::RoomVacated, room, None);
                }
            }
        }
    }

    fn record_room(&self, kind: Kind, room: &RoomName, user: Option<&Arc<str>>) {
        self.facts.record(kind, Partition::of_room(room), || match user {
            Some(user) => json!({ "namespace": room.namespace, "room": room.name, "user": user }),
            None => json!({ "namespace": room.namespace, "room": room.name }),
        });
    }

    fn announce(&self, scope: &Scope, count: usize, message: &BusMessage) {
        if *scope == Scope::Cluster || count <= self.terms.announce_max {
            self.network.publish(&scope.channel(), &message.encode());
        }
    }
}

/// The text about the user in an announcement.
fn about(scope: &Scope, user: &Arc<str>, profile: &Arc<str>) -> Arc<str> {
    Arc::clone(if *scope == Scope::Cluster { user } else { profile })
}

/// Unix milliseconds.
fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
