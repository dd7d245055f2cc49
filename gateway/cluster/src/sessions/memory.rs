//! [`crate::sessions`] for several nodes of one process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    Unavailable,
    bus::Channel,
    bus::memory::MemoryNetwork,
    ids::{Incarnation, SessionId, SessionRef},
    log::{Page, Position},
    now_micros,
    sessions::{ByNode, HeldSession, Live, OnConflict, Policy, Restored},
    user_log::kept::KeptEvents,
    wire::{BusMessage, UserEvent},
};

/// All users' sessions, and what was sent to them.
#[derive(Clone)]
pub struct MemorySessions {
    network: MemoryNetwork,
    /// The position in the log of a user without one.
    empty: Position,
    log_kept_for: Duration,
    users: Arc<Mutex<HashMap<Arc<str>, User>>>,
}

/// One user, who has a session.
#[derive(Default)]
struct User {
    sessions: Entries,
    log: Option<KeptEvents>,
}

/// The outcome of a claim.
pub(crate) enum Claimed {
    Granted {
        generation: u64,
        /// The end of the user's log.
        end: Position,
    },
    /// The holder of each session, oldest session first.
    Refused(Vec<Incarnation>),
}

/// A user's sessions by generation.
type Entries = BTreeMap<u64, (SessionId, Incarnation)>;

/// The session has seen nothing.
const NOTHING: Position = Position { epoch: 0, number: 0 };

impl MemorySessions {
    pub(crate) fn new(network: MemoryNetwork, empty: Position, log_kept_for: Duration) -> Self {
        Self { network, empty, log_kept_for, users: Arc::default() }
    }

    /// Claims a session for [`crate::connects`].
    pub(crate) fn claim(
        &self,
        session: &SessionRef,
        by: &Incarnation,
        policy: Policy,
        dead: &[Incarnation],
    ) -> Claimed {
        let mut users = self.users.lock();
        let User { sessions: entries, log } = users.entry(Arc::clone(&session.user)).or_default();
        entries.retain(|_, (other, holder)| *other != session.session && !dead.contains(holder));
        if policy.on_conflict == OnConflict::Reject && policy.limit > 0 && entries.len() >= policy.limit as usize {
            return Claimed::Refused(entries.values().map(|(_, holder)| holder.clone()).collect());
        }
        let newest = entries.last_key_value().map_or(0, |(generation, _)| *generation);
        let generation = now_micros().max(newest + 1);
        entries.insert(generation, (session.session.clone(), by.clone()));
        self.trim(entries, policy);
        Claimed::Granted { generation, end: log.as_mut().map_or(self.empty, |log| log.end(NOTHING)) }
    }

    pub(crate) fn release(&self, sessions: &[SessionRef], by: &Incarnation) -> Result<(), Unavailable> {
        let mut users = self.users.lock();
        for SessionRef { user, session } in sessions {
            if let Some(User { sessions: entries, .. }) = users.get_mut(user) {
                entries.retain(|_, (entry, holder)| !(entry == session && holder == by));
                if entries.is_empty() {
                    users.remove(user);
                }
            }
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
        let restore = |HeldSession { session, generation, seen }: &HeldSession| {
            let User { sessions: entries, log } = users.entry(Arc::clone(&session.user)).or_default();
            entries.retain(|_, (other, _)| *other != session.session);
            entries.insert(*generation, (session.session.clone(), by.clone()));
            match self.trim(entries, policy).contains(&session.session) {
                true => Restored::Evicted,
                false => Restored::Kept { end: log.as_mut().map_or(self.empty, |log| log.end(*seen)) },
            }
        };
        Ok(held.iter().map(restore).collect())
    }

    pub(crate) fn end(&self, user: &Arc<str>, reason: &Arc<str>) -> Result<usize, Unavailable> {
        let users = self.users.lock();
        let Some(User { sessions, .. }) = users.get(user) else { return Ok(0) };
        self.publish(sessions, |sessions| BusMessage::End { sessions, reason: Arc::clone(reason) });
        Ok(sessions.len())
    }

    /// Sends an event to a user, for [`crate::user_log`].
    pub(crate) fn send(&self, user: &Arc<str>, event: &UserEvent) -> usize {
        let mut users = self.users.lock();
        let Some(User { sessions, log }) = users.get_mut(user) else { return 0 };
        // A later epoch than that of `empty`, the user's position until now.
        let log = log.get_or_insert_with(|| KeptEvents::new(now_micros().max(self.empty.epoch + 1)));
        let position = log.add(event, self.log_kept_for);
        self.publish(sessions, |sessions| BusMessage::ForUser { sessions, position, event: event.clone() });
        sessions.len()
    }

    /// Sends a user's sessions the number of unread notifications, for [`crate::inbox`].
    pub(crate) fn send_unread(&self, user: &Arc<str>, unread: u64, at: &Arc<str>) {
        if let Some(User { sessions, .. }) = self.users.lock().get(user) {
            self.publish(sessions, |sessions| BusMessage::Unread { sessions, unread, at: Arc::clone(at) });
        }
    }

    pub(crate) fn read_log(&self, user: &Arc<str>, seen: Position) -> Page<Option<UserEvent>> {
        let (empty, kept_for) = (self.empty, self.log_kept_for);
        match self.users.lock().get_mut(user).and_then(|user| user.log.as_mut()) {
            Some(log) => log.after(seen, empty, kept_for),
            None => Page { end: empty, base: 0, messages: Vec::new(), empty, kept_for },
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
        let of_one = |user| all.get(user).map(|user| user.sessions.iter().map(live).collect()).unwrap_or_default();
        Ok(users.iter().map(of_one).collect())
    }

    /// Evicts the oldest sessions beyond the limit, notifies their nodes, and returns them.
    fn trim(&self, entries: &mut Entries, policy: Policy) -> Vec<SessionId> {
        let mut evicted = Vec::new();
        while policy.limit > 0 && entries.len() > policy.limit as usize {
            let Some((_, (session, holder))) = entries.pop_first() else { break };
            let message = BusMessage::Evicted(session.clone()).encode();
            self.network.publish(&Channel::Node(holder.node()), &message);
            evicted.push(session);
        }
        evicted
    }
}
