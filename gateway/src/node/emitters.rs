//! Handles what emitters publish, one message after the other: see [`crate::emit::emitter`].

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use jackfield_cluster::{bus::EmitterMessage, metrics::EMITTER};

use crate::{
    emit::emitter::{Handled, handle},
    session::Shared,
};

/// Time between two log lines about malformed messages.
const LOG_AGAIN: Duration = Duration::from_mins(1);

/// Listens if `emitter.prefix` is set.
pub(super) async fn run(shared: Arc<Shared>) {
    let prefix = &shared.settings.emitter.prefix;
    if prefix.is_empty() {
        return;
    }
    let Some(mut messages) = shared.cluster.bus.emitters(prefix) else {
        tracing::warn!("ignored the setting `emitter.prefix`: emitters need Redis, see `redis.url`");
        return;
    };
    let stopping = shared.lifecycle.stopping();
    let mut logged: Option<Instant> = None;
    while let Some(Some(message)) = stopping.run_until_cancelled(messages.recv()).await {
        let (outcome, problem) = outcome_of(&shared, &message).await;
        EMITTER.add_for([outcome], 1);
        if let Some(problem) = problem
            && logged.is_none_or(|at| at.elapsed() >= LOG_AGAIN)
        {
            logged = Some(Instant::now());
            let channel: String = message.channel.chars().take(64).collect();
            tracing::warn!(channel, problem, "dropped a malformed message of an emitter");
        }
    }
}

/// The outcome's name, and what is wrong with the message.
async fn outcome_of(shared: &Arc<Shared>, message: &EmitterMessage) -> (&'static str, Option<String>) {
    // A message that makes the handler panic must not stop those after it.
    match AssertUnwindSafe(handle(shared, message)).catch_unwind().await {
        Ok(Ok(Handled::Done)) => ("handled", None),
        Ok(Ok(Handled::Ignored)) => ("ignored", None),
        Ok(Err(malformed)) => ("malformed", Some(malformed.to_string())),
        Err(_) => ("malformed", Some("the handler panicked; the panic message is on standard error".to_owned())),
    }
}
