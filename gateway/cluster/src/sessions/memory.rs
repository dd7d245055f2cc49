//! [`crate::sessions`] for several nodes of one process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    Unavailable,
    bus::Channel,
    bus::memory::MemoryNetwork,
    ids::{Incarnation, SessionId, SessionRef},
    now_micros,
    sessions::{ByNode, Directive, HeldSession, Live, OnConflict, Policy},
    wire::BusMessage,
};

/// All users' sessions.
#[derive(Clone)]
pub struct MemorySessions {
    network: MemoryNetwork,
    users: Arc<Mutex<HashMap<Arc<str>, Entries>>>,
}

/// The outcome of a claim.
pub(crate) enum Claimed {
    Granted {
        generation: u64,
    },
    /// The holder of each session, oldest session first.
    Refused(Vec<Incarnation>),
}

/// A user's sessions by generation.
type Entries = BTreeMap<u64, (SessionId, Incarnation)>;

impl MemorySessions {
    pub(crate) fn new(network: MemoryNetwork) -> Self {
        Self { network, users: Arc::default() }
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
        let entries = users.entry(Arc::clone(&session.user)).or_default();
        entries.retain(|_, (other, holder)| *other != session.session && !dead.contains(holder));
        if policy.on_conflict == OnConflict::Reject && policy.limit > 0 && entries.len() >= policy.limit as usize {
            return Claimed::Refused(entries.values().map(|(_, holder)| holder.clone()).collect());
        }
        let newest = entries.last_key_value().map_or(0, |(generation, _)| *generation);
        let generation = now_micros().max(newest + 1);
        entries.insert(generation, (session.session.clone(), by.clone()));
        self.trim(entries, policy);
        Claimed::Granted { generation }
    }

    pub(crate) fn release(&self, sessions: &[SessionRef], by: &Incarnation) -> Result<(), Unavailable> {
        let mut users = self.users.lock();
        for SessionRef { user, session } in sessions {
            if let Some(entries) = users.get_mut(user) {
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
    ) -> Result<Vec<SessionId>, Unavailable> {
        let mut users = self.users.lock();
        let mut lost = Vec::new();
        for HeldSession { session, generation } in held {
            let entries = users.entry(Arc::clone(&session.user)).or_default();
            entries.retain(|_, (other, _)| *other != session.session);
            entries.insert(*generation, (session.session.clone(), by.clone()));
            if self.trim(entries, policy).contains(&session.session) {
                lost.push(session.session.clone());
            }
        }
        Ok(lost)
    }

    pub(crate) fn send(
        &self,
        users: &[Arc<str>],
        directive: &Directive,
        except: Option<&SessionId>,
    ) -> Result<Vec<usize>, Unavailable> {
        let mut by_node = ByNode::default();
        let mut counts = Vec::with_capacity(users.len());
        for live in self.of(users)? {
            counts.push(by_node.add(&live, except));
        }
        for (channel, message) in by_node.messages(|sessions| directive.message(sessions)) {
            self.network.publish(&channel, &message);
        }
        Ok(counts)
    }

    pub(crate) fn of(&self, users: &[Arc<str>]) -> Result<Vec<Vec<Live>>, Unavailable> {
        let all = self.users.lock();
        let live = |(generation, (session, holder)): (&u64, &(SessionId, Incarnation))| Live {
            session: session.clone(),
            generation: *generation,
            holder: holder.clone(),
        };
        let of_one = |user| all.get(user).map(|entries| entries.iter().map(live).collect()).unwrap_or_default();
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
