//! [`crate::idempotency`] for several nodes of one process.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    Unavailable,
    idempotency::{ATTEMPT, Attempt, Begun, KEPT_FOR},
};

/// All names.
#[derive(Clone, Default)]
pub struct MemoryIdempotency {
    names: Arc<Mutex<Names>>,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Box<str>, Entry>,
    /// In the order of expiry; a name that was freed and used again is listed twice.
    ending: VecDeque<(Instant, Box<str>)>,
}

struct Entry {
    end: Instant,
    fingerprint: Box<str>,
    id: String,
    state: State,
}

enum State {
    Running { until: Instant },
    Open,
    Done(Bytes),
}

impl MemoryIdempotency {
    pub(crate) fn begin(&self, attempt: Attempt<'_>) -> Result<Begun, Unavailable> {
        let now = Instant::now();
        let mut names = self.names.lock();
        names.forget(now);
        let running = State::Running { until: now + ATTEMPT };
        let Some(entry) = names.by_name.get_mut(attempt.name) else {
            let (fingerprint, id, end) = (attempt.fingerprint.into(), attempt.id.to_owned(), now + KEPT_FOR);
            names.by_name.insert(attempt.name.into(), Entry { end, fingerprint, id, state: running });
            names.ending.push_back((end, attempt.name.into()));
            return Ok(Begun::Go(attempt.id.to_owned()));
        };
        Ok(match &entry.state {
            _ if *entry.fingerprint != *attempt.fingerprint => Begun::Other,
            State::Done(reply) => Begun::Done(reply.clone()),
            State::Running { until } if *until > now => Begun::Running,
            State::Running { .. } | State::Open => {
                entry.state = running;
                Begun::Go(entry.id.clone())
            }
        })
    }

    pub(crate) fn done(&self, name: &str, reply: &Bytes) -> Result<(), Unavailable> {
        self.set(name, State::Done(reply.clone()));
        Ok(())
    }

    pub(crate) fn failed(&self, name: &str) -> Result<(), Unavailable> {
        self.set(name, State::Open);
        Ok(())
    }

    pub(crate) fn refused(&self, name: &str) -> Result<(), Unavailable> {
        self.names.lock().by_name.remove(name);
        Ok(())
    }

    fn set(&self, name: &str, state: State) {
        if let Some(entry) = self.names.lock().by_name.get_mut(name) {
            entry.state = state;
        }
    }
}

impl Names {
    fn forget(&mut self, now: Instant) {
        while self.ending.front().is_some_and(|(end, _)| *end <= now) {
            if let Some((_, name)) = self.ending.pop_front()
                && self.by_name.get(&name).is_some_and(|entry| entry.end <= now)
            {
                self.by_name.remove(&name);
            }
        }
    }
}
