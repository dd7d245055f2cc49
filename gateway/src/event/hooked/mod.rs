//! Events that a hook handles: sent to its backend, whose answer is done and acknowledged.
//!
//! The path of one event: [`request`] (its id and arguments) → [`lanes`] (waits for the earlier ones of its socket and
//! hook) → [`crate::hook`] (the call) → [`answer`] (read and checked as a whole) → [`act`] (done, acknowledged).
//! Guarantees: the events of one socket and one hook are handled one at a time, in the client's order; they delay no
//! other event, hook or socket; a call is made at most once for each time that the client sends the event, and within the
//! hook's timeout, counted from the event's arrival. Events that were received before the client left are still sent,
//! unless its token was revoked.

mod act;
mod answer;
mod lanes;
mod request;

use std::{panic::AssertUnwindSafe, sync::Arc};

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use jackfield_cluster::ids::SessionKey;
use jackfield_shared::{
    ids::new_id,
    trace::{Origin, Span, SpanKind, within},
};
use serde_json::value::RawValue;
use tokio::time::Instant;

use self::{
    answer::Reading,
    lanes::{Key, Lanes, Limits, Pushed},
    request::{EventId, Told},
};
use super::{EventError, NAMES, parse::Event};
use crate::{
    hook::{Answer, Hook},
    metrics,
    room::Occupant as _,
    session::{Client, Connection, MAIN, NAMESPACES, Sender, Shared, answer as answer_error},
};

/// The client's time to retry if its lane is full.
const FULL_RETRY_MS: u64 = 1_000;
/// Longer answers are read on another thread, because that takes milliseconds.
const LONG_ANSWER: usize = 32 * 1_024;

/// The events of all sockets that wait for hooks.
#[derive(Default)]
pub(super) struct Hooked {
    lanes: Lanes<HookedEvent>,
}

/// An event that waits for its hook, or is being handled.
struct HookedEvent {
    connection: Arc<Connection>,
    client: Arc<Client>,
    id: EventId,
    name: Box<str>,
    args: Box<RawValue>,
    ack: Option<i64>,
    arrived: Instant,
    at: DateTime<Utc>,
    origin: Option<Origin>,
}

/// The hook that handles events of this name; `None` if the gateway does, or nobody.
pub(super) fn hook_of<'a>(sender: &Sender<'a>, name: &str) -> Option<&'a Arc<Hook>> {
    let hooks = &sender.shared.hooks;
    if hooks.all().is_empty() || (NAMES.contains(&name) && !hooks.is_off(name)) {
        return None;
    }
    hooks.for_event(&sender.client.namespace.name, name)
}

impl Hooked {
    /// Puts an event into its lane. It is answered later.
    pub(super) fn take(
        self: &Arc<Self>,
        sender: &Sender<'_>,
        hook: &Arc<Hook>,
        event: &Event<'_>,
        ack: Option<i64>,
    ) -> Result<(), EventError> {
        let Sender { shared, connection, client } = *sender;
        let args = request::arguments(event)?;
        let (key, bytes) = ((client.session, hook.number), args.get().len() + event.name.len());
        let event = HookedEvent {
            connection: Arc::clone(connection),
            client: Arc::clone(client),
            id: EventId::new(&client.identity.user_id, &client.namespace.name, event),
            name: (&*event.name).into(),
            args,
            ack,
            arrived: Instant::now(),
            at: Utc::now(),
            origin: Origin::current(),
        };
        let limits = &shared.settings.limits;
        let limits = Limits { count: limits.inbox as usize, bytes: limits.inbox_bytes as usize };
        match self.lanes.push(key, bytes, event, limits) {
            Pushed::Queued => Ok(()),
            Pushed::Start(event) => {
                let (lanes, shared, hook) = (Arc::clone(self), Arc::clone(shared), Arc::clone(hook));
                let tasks = shared.lifecycle.clone();
                tasks.spawn(async move { lanes.run(&shared, &hook, key, event).await });
                Ok(())
            }
            Pushed::Full => {
                metrics::RATE_LIMITED.add(1);
                Err(EventError::RateLimited { retry_after_ms: FULL_RETRY_MS })
            }
        }
    }

    /// Whether an event of this connection waits, or is being handled.
    pub(super) fn has(&self, session: SessionKey) -> bool {
        self.lanes.has(session)
    }

    /// Handles the events of a lane until none waits. When the node stops, calls end at once.
    async fn run(&self, shared: &Shared, hook: &Arc<Hook>, key: Key, first: HookedEvent) {
        let mut next = Some(first);
        while let Some(event) = next {
            let span = Span::follow(event.origin, format!("hook {}", hook.name), SpanKind::Internal);
            let handling = within(span, handle(shared, hook, &event));
            let result = AssertUnwindSafe(handling).catch_unwind().await.unwrap_or_else(|_| {
                let id = new_id();
                tracing::error!(
                    id,
                    hook = &*hook.name,
                    "handling a hook's event panicked; the message is on standard error"
                );
                Err(EventError::Internal { id })
            });
            if let Err(error) = result
                && !event.is_gone()
            {
                answer_error(&*event.client, event.ack, &error, &event.name);
            }
            drop(event);
            next = self.lanes.pop(key);
        }
    }
}

impl HookedEvent {
    /// Whether the socket has left.
    fn is_gone(&self) -> bool {
        self.client.is_gone()
    }
}

async fn handle(shared: &Shared, hook: &Arc<Hook>, event: &HookedEvent) -> Result<(), EventError> {
    let HookedEvent { connection, client, id, name, args, ack, arrived, at, .. } = event;
    let identity = &client.identity;
    if client.is_gone() && shared.revocations.judge(&identity.user_id, &identity.marks).is_err() {
        return Err(EventError::Unavailable);
    }
    let told = Told { id: &id.text, event: name, args, ack: ack.is_some(), at: *at };
    let body = request::body(connection, client, &told).ok_or(EventError::Unavailable)?;
    let answered = hook.call_until(&id.text, body, *arrived + hook.timeout).await;
    // The hook has counted and logged the error.
    let answer = answered.map_err(|_| EventError::Unavailable)?;
    let namespace = NAMESPACES.into_iter().find(|name| *name == &*hook.namespace).unwrap_or(MAIN);
    let terms = answer::Terms { attachments: shared.settings.limits.attachments as usize, namespace };
    // The call counts as open until its answer was handled, so that events that wait here are bounded, too.
    let (_answer, reading) = read(answer, terms).await?;
    match reading {
        // Boxed, so that a lane whose call is open has no room for it.
        Reading::Do(actions) => Box::pin(act::act(shared, event, actions)).await,
        Reading::Reject { code, message } => Err(EventError::Rejected { code, message }),
        Reading::Unavailable | Reading::Bad(_) => Err(EventError::Unavailable),
    }
}

async fn read(mut answer: Answer, terms: answer::Terms) -> Result<(Answer, Reading), EventError> {
    let (status, body) = (answer.status, answer.body.clone());
    let reading = match body.len() {
        0..=LONG_ANSWER => answer::read(status, &body, terms),
        _ => {
            let reading = tokio::task::spawn_blocking(move || answer::read(status, &body, terms)).await;
            reading.map_err(|_| EventError::Unavailable)?
        }
    };
    if let Reading::Bad(reason) = &reading {
        answer.refuse(reason);
    }
    Ok((answer, reading))
}
