//! [`crate::sessions`] for several nodes of one process.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use crate::partition::Partition;
use crate::{
    Unavailable,
    bus::Channel,
    bus::memory::MemoryNetwork,
    facts::{Kind, memory::MemoryFacts},
    ids::{Incarnation, SessionId, SessionRef, SocketId},
    log::{Page, Position},
    now_micros,
    recovery::{
        record::{Record, Wish},
        records::Records,
    },
    sessions::{ByNode, EndReason, Ended, HeldSession, Live, OnConflict, Policy, Restored},
    user_log::kept::KeptEvents,
    wire::{BusMessage, UserEvent},
};

/// All users' sessions and records, and what was sent to them.
#[derive(Clone)]
pub struct MemorySessions {
    network: MemoryNetwork,
    facts: MemoryFacts,
    /// The position in the log of a user without one.
    empty: Position,
    log_kept_for: Duration,
    /// How long the record of an ended session is kept.
    recovery: Duration,
    users: Arc<Mutex<Users>>,
}

#[derive(Default)]
struct Users {
    by_id: HashMap<Arc<str>, User>,
    /// Users who have left a record, and when it is over.
    away: VecDeque<(Instant, Arc<str>)>,
}

/// One user, who has a session, or may come back to a record.
#[derive(Default)]
struct User {
    sessions: Entries,
    log: Option<KeptEvents>,
    records: Records,
}

impl Users {
    /// Removes users who have neither a session nor a record any more.
    fn forget(&mut self, now: Instant) {
        while let Some((_, user)) = self.away.pop_front_if(|(until, _)| *until <= now) {
            self.forget_if_gone(&user, now);
        }
    }

    fn forget_if_gone(&mut self, id: &Arc<str>, now: Instant) {
        if let Some(user) = self.by_id.get_mut(id) {
            user.records.forget(now);
            if user.sessions.is_empty() && user.records.is_empty() {
                self.by_id.remove(id);
            }
        }
    }
}

/// The outcome of a claim.
pub(crate) enum Claimed {
    Granted {
        generation: u64,
        /// The end of the user's log.
        end: Position,
        record: Option<Record>,
    },
    /// The holder of each session, oldest session first.
    Refused(Vec<Incarnation>),
}

/// A user's sessions by generation.
type Entries = BTreeMap<u64, (SessionId, Incarnation)>;

/// The session has seen nothing.
const NOTHING: Position = Position { epoch: 0, number: 0 };

/// The data of `session.started`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Started<'a> {
    session: &'a str,
    user: &'a str,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket_id: Option<SocketId>,
}

impl MemorySessions {
    pub(crate) fn new(
        network: MemoryNetwork,
        empty: Position,
        log_kept_for: Duration,
        recovery: Duration,
        facts: MemoryFacts,
    ) -> Self {
        Self { network, facts, empty, log_kept_for, recovery, users: Arc::default() }
    }

    /// Calls this with the user's records, for [`crate::recovery`].
    pub(crate) fn with_records<T>(&self, user: &str, change: impl FnOnce(&mut Records) -> T) -> Option<T> {
        self.users.lock().by_id.get_mut(user).map(|user| change(&mut user.records))
    }

    /// Claims a session for [`crate::connects`].
    pub(crate) fn claim(
        &self,
        session: &SessionRef,
        by: &Incarnation,
        policy: Policy,
        dead: &[Incarnation],
        wish: Option<&Wish>,
    ) -> Claimed {
        let mut users = self.users.lock();
        let User { sessions: entries, log, records } = users.by_id.entry(Arc::clone(&session.user)).or_default();
        records.forget(Instant::now());
        for (_, (other, holder)) in entries.extract_if(.., |_, (_, holder)| dead.contains(holder)) {
            self.record_end(&session.user, &other, &holder, EndReason::NodeLost);
        }
        let own = entries.extract_if(.., |_, (other, _)| *other == session.session).next();
        let is_new = own.is_none();
        let before = wish.and_then(|wish| records.session_of(wish.resume?, &wish.namespace));
        let ended = entries.iter().find(|(_, (other, _))| Some(other) == before.as_ref()).map(|(key, _)| *key);
        let ended = ended.and_then(|key| entries.remove_entry(&key));
        if policy.on_conflict == OnConflict::Reject && policy.limit > 0 && entries.len() >= policy.limit as usize {
            let holders = entries.values().map(|(_, holder)| holder.clone()).collect();
            entries.extend(ended.into_iter().chain(own));
            return Claimed::Refused(holders);
        }
        if let Some((_, (before, holder))) = ended {
            self.record_end(&session.user, &before, &holder, EndReason::Resumed);
            self.publish_eviction(before, &holder);
        }
        let record = wish.and_then(|wish| records.claim(wish, &session.session));
        let newest = entries.last_key_value().map_or(0, |(generation, _)| *generation);
        let generation = now_micros().max(newest + 1);
        entries.insert(generation, (session.session.clone(), by.clone()));
        for (evicted, holder) in self.trim(entries, policy) {
            self.record_end(&session.user, &evicted, &holder, EndReason::Replaced);
            records.end(&evicted);
        }
        if is_new {
            let socket = wish.map(|wish| record.as_ref().map_or(wish.socket, |record| record.socket));
            self.record_start(session, by, wish.map(|wish| &*wish.namespace), socket);
        }
        Claimed::Granted { generation, end: log.as_mut().map_or(self.empty, |log| log.end(NOTHING)), record }
    }

    pub(crate) fn release(&self, ended: &[Ended], by: &Incarnation) -> Result<(), Unavailable> {
        let mut users = self.users.lock();
        let now = Instant::now();
        users.forget(now);
        for Ended { session: SessionRef { user: id, session }, is_final, reason } in ended {
            let Some(user) = users.by_id.get_mut(id) else { continue };
            let count = user.sessions.len();
            user.sessions.retain(|_, (entry, holder)| !(entry == session && holder == by));
            if user.sessions.len() == count {
                continue;
            }
            self.record_end(id, session, by, *reason);
            if *is_final {
                user.records.end(session);
            } else if user.records.keep_until(session, now + self.recovery) {
                users.away.push_back((now + self.recovery, Arc::clone(id)));
            }
            users.forget_if_gone(id, now);
        }
        Ok(())
    }

    pub(crate) fn restore(
        &self,
        held: &[HeldSession],
        by: &Incarnation,
        policy: Policy,
    ) -> Result<Vec<Restored>, Unavailable> {
        let mut users = self.users.lock();
        let restore = |HeldSession { session, generation, seen, record }: &HeldSession| {
            let User { sessions: entries, log, records } = users.by_id.entry(Arc::clone(&session.user)).or_default();
            let count = entries.len();
            entries.retain(|_, (other, _)| *other != session.session);
            let is_new = entries.len() == count;
            if record.is_some_and(|record| records.is_of_another(record, &session.session)) {
                if !is_new {
                    self.record_end(&session.user, &session.session, by, EndReason::Resumed);
                }
                return Restored::Evicted;
            }
            entries.insert(*generation, (session.session.clone(), by.clone()));
            let evicted = self.trim(entries, policy);
            for (evicted, holder) in &evicted {
                // One that was not registered, and is evicted at once, has not begun.
                if *evicted != session.session || !is_new {
                    self.record_end(&session.user, evicted, holder, EndReason::Replaced);
                }
                records.end(evicted);
            }
            let is_evicted = evicted.iter().any(|(evicted, _)| *evicted == session.session);
            if is_new && !is_evicted {
                self.record_start(session, by, None, None);
            }
            match is_evicted {
                true => Restored::Evicted,
                false => Restored::Kept { end: log.as_mut().map_or(self.empty, |log| log.end(*seen)) },
            }
        };
        Ok(held.iter().map(restore).collect())
    }

    pub(crate) fn end(&self, user: &Arc<str>, reason: &Arc<str>) -> Result<usize, Unavailable> {
        let users = self.users.lock();
        let Some(User { sessions, .. }) = users.by_id.get(user) else { return Ok(0) };
        self.publish(sessions, |sessions| BusMessage::End { sessions, reason: Arc::clone(reason) });
        Ok(sessions.len())
    }

    /// Sends an event to a user, for [`crate::user_log`].
    pub(crate) fn send(&self, user: &Arc<str>, event: &UserEvent) -> usize {
        let mut users = self.users.lock();
        let Some(User { sessions, log, records }) = users.by_id.get_mut(user) else { return 0 };
        if sessions.is_empty() && !records.has_away(Instant::now()) {
            return 0;
        }
        // A later epoch than that of `empty`, the user's position until now.
        let log = log.get_or_insert_with(|| KeptEvents::new(now_micros().max(self.empty.epoch + 1)));
        let position = log.add(event, self.log_kept_for);
        self.publish(sessions, |sessions| BusMessage::ForUser { sessions, position, event: event.clone() });
        sessions.len()
    }

    /// Sends a user's sessions the number of unread notifications, for [`crate::inbox`].
    pub(crate) fn send_unread(&self, user: &Arc<str>, unread: u64, at: &Arc<str>) {
        if let Some(User { sessions, .. }) = self.users.lock().by_id.get(user) {
            self.publish(sessions, |sessions| BusMessage::Unread { sessions, unread, at: Arc::clone(at) });
        }
    }

    pub(crate) fn read_log(&self, user: &Arc<str>, seen: Position) -> Page<Option<UserEvent>> {
        let (empty, kept_for) = (self.empty, self.log_kept_for);
        match self.users.lock().by_id.get_mut(user).and_then(|user| user.log.as_mut()) {
            Some(log) => log.after(seen, empty, kept_for),
            None => Page { end: empty, base: 0, earlier: Vec::new(), messages: Vec::new(), empty, kept_for },
        }
    }

    /// Sends a message to the nodes that hold these sessions.
    fn publish(&self, sessions: &Entries, of: impl Fn(Vec<SessionId>) -> BusMessage) {
        let mut by_node = ByNode::default();
        sessions.values().for_each(|(session, holder)| by_node.add(session, holder));
        by_node.messages(of).for_each(|(channel, message)| self.network.publish(&channel, &message));
    }

    pub(crate) fn of(&self, users: &[Arc<str>]) -> Result<Vec<Vec<Live>>, Unavailable> {
        let all = self.users.lock();
        let live = |(generation, (session, holder)): (&u64, &(SessionId, Incarnation))| Live {
            session: session.clone(),
            generation: *generation,
            holder: holder.clone(),
        };
        let of_one =
            |user| all.by_id.get(user).map(|user| user.sessions.iter().map(live).collect()).unwrap_or_default();
        Ok(users.iter().map(of_one).collect())
    }

    /// Evicts the oldest sessions beyond the limit, notifies their nodes, and returns them.
    fn trim(&self, entries: &mut Entries, policy: Policy) -> Vec<(SessionId, Incarnation)> {
        let mut evicted = Vec::new();
        while policy.limit > 0 && entries.len() > policy.limit as usize {
            let Some((_, (session, holder))) = entries.pop_first() else { break };
            self.publish_eviction(session.clone(), &holder);
            evicted.push((session, holder));
        }
        evicted
    }

    fn record_start(&self, session: &SessionRef, by: &Incarnation, namespace: Option<&str>, socket: Option<SocketId>) {
        self.facts.record(Kind::SessionStarted, Partition::of(&session.user), || Started {
            session: session.session.as_str(),
            user: &session.user,
            node: by.node().to_string(),
            namespace,
            socket_id: socket,
        });
    }

    fn record_end(&self, user: &Arc<str>, session: &SessionId, holder: &Incarnation, reason: EndReason) {
        self.facts.record(Kind::SessionEnded, Partition::of(user), || {
            let node = holder.node();
            json!({ "session": session.as_str(), "user": user, "reason": reason.as_str(), "node": node.as_str() })
        });
    }

    fn publish_eviction(&self, session: SessionId, holder: &Incarnation) {
        self.network.publish(&Channel::Node(holder.node()), &BusMessage::Evicted(session).encode());
    }
}
