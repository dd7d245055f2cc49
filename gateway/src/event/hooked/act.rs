//! Does what a hook's answer says, in order: joins and leaves, emits, the acknowledgement, the disconnect.
//!
//! Guarantees: the acknowledgement is sent only once everything before it was done; if something fails, the client gets
//! an error instead, and what follows is not done. An event that the client sends again with the same `clientId` repeats
//! all of it, but each emit reaches its receivers once. A socket that has left gets nothing, but the emits, which are
//! for others, are sent.

use std::time::Duration;

use jackfield_cluster::{
    TIMEOUT, deadline,
    wire::{Command, End},
};
use jackfield_engine::Frame;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    HookedEvent,
    answer::{Actions, Emit},
};
use crate::{
    emit::{Emission, emit},
    event::EventError,
    metrics,
    session::{Addressee as _, CommandError, Shared, acknowledge},
};

/// How long joins and leaves may take, with their wait for the packets before them.
const COMMAND_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
pub(super) async fn act(shared: &Shared, event: &HookedEvent, actions: Actions) -> Result<(), EventError> {
    let Actions { join, leave, emits, ack, disconnect } = actions;
    let mut is_gone = event.is_gone();
    let moves = !join.is_empty() || !leave.is_empty();
    if moves && !is_gone {
        is_gone = !order(event, Command { join, leave, end: None }).await?;
    }
    // One budget for all of them, so that a back end that answers slowly does not hold the lane for minutes.
    deadline::allow(Instant::now() + TIMEOUT, send(shared, event, emits)).await?;
    if is_gone {
        // The rooms are not joined. If the client is still there, because the node drains, it sends the event again.
        return Err(EventError::Unavailable);
    }
    metrics::EVENTS.add_for(["ok"], 1);
    if let Some(id) = event.ack {
        let client = &*event.client;
        match ack {
            None => acknowledge(client, id, &json!({ "status": "ok" })),
            Some(ack) => {
                client.send(&Frame::ack_with(client.namespace(), id, &ack.arguments, ack.parts.as_ref()));
            }
        }
    }
    if let Some(reason) = disconnect {
        // Last, so that the acknowledgement arrives.
        order(event, Command { end: Some(End { reason, session: false }), ..Command::default() }).await?;
    }
    Ok(())
}

/// Runs a command for the sender. False if the socket has left.
async fn order(event: &HookedEvent, command: Command) -> Result<bool, EventError> {
    let ordered = event.connection.command(&event.client.namespace.name, command);
    match timeout(COMMAND_WITHIN, ordered).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(CommandError::Gone)) => Ok(false),
        Ok(Err(CommandError::Failed(error))) => Err(error),
        Ok(Err(CommandError::Busy)) | Err(_) => Err(EventError::Unavailable),
    }
}

async fn send(shared: &Shared, event: &HookedEvent, emits: Vec<Emit>) -> Result<(), EventError> {
    for (index, Emit { to, except, content, parts }) in emits.into_iter().enumerate() {
        let once = event.id.is_stable.then(|| format!("{}.{index}", event.id.text));
        // Boxed, because its future is large, and most answers have no emits.
        Box::pin(emit(shared, Emission { to, except, content, parts, once: once.as_deref() })).await?;
    }
    Ok(())
}
