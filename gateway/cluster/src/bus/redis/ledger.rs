//! The subscriptions of one connection: asked for, confirmed, being dropped. Without I/O.
//!
//! At most one request for a channel is under way, so that what the server says of a channel is unambiguous, whenever it
//! says it: answers are matched by the channel's name. The rest follows once the answer is there.

use std::{collections::HashMap, sync::Arc};

use crate::{bus::Channel, partition::Partition};

/// See the module.
#[derive(Default)]
pub(super) struct Ledger {
    /// By channel name in Redis.
    entries: HashMap<Arc<str>, Entry>,
}

struct Entry {
    partition: Partition,
    subject: Subject,
    state: State,
}

/// The purpose of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// Messages for the node.
    Channel(Channel),
    /// The listener's own probes.
    Probe,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be subscribed.
    Asked,
    Subscribed,
    /// To be unsubscribed.
    Dropped,
    /// The server refused to subscribe it.
    Refused,
}

/// The next action for a channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Subscribe(Partition),
    Unsubscribe(Partition),
    /// It is subscribed already.
    Confirm,
    /// Nothing, or nothing until the server has answered.
    Nothing,
}

/// The meaning of an `unsubscribe` from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsubscribed {
    /// The answer to a request.
    AsAsked,
    /// The server did it by itself.
    Moved,
    /// Nothing changes.
    Stale,
}

impl Ledger {
    /// The next step, to be taken now, for a channel that is to be subscribed if it is `wanted`.
    pub(super) fn step(&mut self, name: &Arc<str>, wanted: Option<(Partition, Subject)>) -> Step {
        let state = self.entries.get(name).map(|entry| entry.state);
        match (state, wanted) {
            (None | Some(State::Refused), Some((partition, subject))) => {
                self.entries.insert(Arc::clone(name), Entry { partition, subject, state: State::Asked });
                Step::Subscribe(partition)
            }
            (Some(State::Refused), None) => {
                self.entries.remove(name);
                Step::Nothing
            }
            (Some(State::Subscribed), Some(_)) => Step::Confirm,
            (Some(State::Subscribed), None) => self.set(name, State::Dropped).map_or(Step::Nothing, Step::Unsubscribe),
            (None, None) | (Some(State::Asked | State::Dropped), _) => Step::Nothing,
        }
    }

    /// The server has subscribed the connection. Returns what for; none if nothing is known of the channel.
    pub(super) fn subscribed(&mut self, name: &str) -> Option<(Arc<str>, &Subject)> {
        let (name, _) = self.entries.get_key_value(name)?;
        let name = Arc::clone(name);
        let entry = self.entries.get_mut(&name)?;
        if entry.state != State::Dropped {
            entry.state = State::Subscribed;
        }
        Some((name, &entry.subject))
    }

    /// The server has unsubscribed the connection.
    pub(super) fn unsubscribed(&mut self, name: &str) -> Unsubscribed {
        match self.entries.get(name).map(|entry| entry.state) {
            // Sent before the server handled the last request.
            None | Some(State::Asked | State::Refused) => Unsubscribed::Stale,
            Some(state) => {
                self.entries.remove(name);
                if state == State::Dropped { Unsubscribed::AsAsked } else { Unsubscribed::Moved }
            }
        }
    }

    /// The server refuses a request, for channels in this slot of a Redis Cluster if it names one. Returns the names of
    /// all channels that it may be about: nothing counts as under way for them any more.
    pub(super) fn refused(&mut self, slot: Option<u16>) -> Vec<Arc<str>> {
        let mut refused = Vec::new();
        for (name, entry) in &mut self.entries {
            if slot.is_none_or(|slot| entry.partition.slot() == slot) {
                entry.state = match entry.state {
                    State::Asked => State::Refused,
                    State::Dropped => State::Subscribed,
                    State::Subscribed | State::Refused => continue,
                };
                refused.push(Arc::clone(name));
            }
        }
        refused
    }

    /// The purpose of a message on this channel.
    pub(super) fn subject(&self, name: &[u8]) -> Option<(Partition, &Subject)> {
        let entry = self.entries.get(std::str::from_utf8(name).ok()?)?;
        (entry.state == State::Subscribed).then_some((entry.partition, &entry.subject))
    }

    /// Whether the channel is subscribed, or will be if the server does not refuse.
    pub(super) fn is_coming(&self, name: &str) -> bool {
        let state = self.entries.get(name).map(|entry| entry.state);
        matches!(state, Some(State::Asked | State::Subscribed))
    }

    fn set(&mut self, name: &str, state: State) -> Option<Partition> {
        let entry = self.entries.get_mut(name)?;
        entry.state = state;
        Some(entry.partition)
    }
}
