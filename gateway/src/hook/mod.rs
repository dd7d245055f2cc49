//! Hooks: backends that answer events of clients, decide who connects, and get facts. PROTOCOL: docs/hooks.md.
//!
//! [`Hooks`] is what the setting `hooks` says, [`Hook::call`] one call: signed as Standard Webhooks prescribes
//! ([`signature`], [`secret`]), bounded in time, bytes and number ([`call`]), and refused at once while the backend does
//! not answer ([`breaker`]). Each hook has connections, limits and a breaker of its own, so none delays another.
//! Deliberately knows nothing of sockets, and nothing of what a call or its answer means: the layers above do.

mod breaker;
mod call;
mod code;
mod outcome;
mod patterns;
mod registry;
mod rule;
mod secret;
mod signature;

use std::{sync::Arc, time::Duration};

use jackfield_shared::metrics::Histogram;
use parking_lot::Mutex;
use reqwest::Url;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::{breaker::Breaker, outcome::Tally, rule::Rule, secret::Secrets};
pub(crate) use self::{
    call::{Answer, CallError},
    code::is_code,
    outcome::{LastError, Outcome},
    patterns::{Patterns, RESERVED},
    registry::{Ground, Hooks},
};
use crate::metrics;

/// One configured backend.
pub(crate) struct Hook {
    /// Its place among all hooks.
    pub(crate) number: usize,
    /// Safe to log, and a metric label.
    pub(crate) name: Box<str>,
    /// The namespace whose events and connects it gets.
    pub(crate) namespace: Box<str>,
    /// The longest time that a call may take.
    pub(crate) timeout: Duration,
    events: Patterns,
    facts: Patterns,
    connect: bool,
    url: Url,
    secrets: Secrets,
    http: reqwest::Client,
    /// Permits of calls that may be open.
    open: Arc<Semaphore>,
    /// Calls that may be open at the same time.
    concurrency: usize,
    breaker: Mutex<Breaker>,
    tally: Tally,
    took: Vec<Histogram>,
    stopping: CancellationToken,
}

impl Hook {
    /// A hook whose calls end when `stopping` is cancelled.
    ///
    /// # Errors
    /// Says which of its files cannot be read.
    fn new(number: usize, rule: Rule, concurrency: usize, stopping: CancellationToken) -> Result<Self, String> {
        Ok(Self {
            number,
            secrets: Secrets::read(&rule.secret_files)?,
            http: call::client(concurrency).map_err(|error| format!("cannot make an HTTP client: {error}"))?,
            tally: Tally::new(&rule.name),
            took: metrics::HOOK.configured(&rule.name),
            name: rule.name.into(),
            namespace: rule.namespace.into(),
            timeout: rule.timeout,
            events: rule.events,
            facts: rule.facts,
            connect: rule.connect,
            url: rule.url,
            open: Arc::new(Semaphore::new(concurrency)),
            concurrency,
            breaker: Mutex::new(Breaker::new()),
            stopping,
        })
    }

    /// The facts that it gets; none if empty.
    pub(crate) fn facts(&self) -> &Patterns {
        &self.facts
    }

    /// The events that it handles.
    pub(crate) fn events(&self) -> &Patterns {
        &self.events
    }

    /// Whether it decides who joins its namespace.
    pub(crate) fn is_for_connects(&self) -> bool {
        self.connect
    }

    /// The URL without its query, which may hold a secret.
    pub(crate) fn url(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.to_string()
    }

    /// Calls that are open.
    pub(crate) fn open(&self) -> usize {
        self.concurrency.saturating_sub(self.open.available_permits())
    }

    /// Whether the breaker is open: at most one call at a time is sent, as a probe.
    pub(crate) fn is_breaker_open(&self) -> bool {
        self.breaker.lock().is_open()
    }

    /// The count of each outcome since the start of the node.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.tally.counts()
    }

    /// The last call that failed.
    pub(crate) fn last_error(&self) -> Option<LastError> {
        self.tally.last_error()
    }
}

/// Without the URL, which may hold a secret.
impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hook").field(&self.name).finish()
    }
}
