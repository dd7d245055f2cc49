//! Emits an event and waits for the clients' acknowledgements: `emitWithAck` for backends.
//!
//! Asks all nodes how many sockets would get it, then emits: so that nobody gets an event whose answers would be too many.
//! A node that does not reply within [`COUNT_WITHIN`] counts as one without such sockets. Guarantees: every socket is asked
//! at most once, and its answer counts once; the wait ends at the timeout, or as soon as every socket that was asked has
//! answered. Deliberately stores nothing: clients that are away are not asked, recovered or not.

use std::{sync::Arc, time::Duration};

use jackfield_cluster::{
    Unavailable,
    bus::Channel,
    wire::{Act, Ask, BusMessage, Selector, Target},
};
use jackfield_engine::Parts;
use serde_json::Value;
use tokio::time::timeout;

use super::{Emission, To, binary};
use crate::session::{Answer, Answers, Asking, MAX_ANSWERS, NAMESPACES, Shared};

/// How long the nodes may take to count.
const COUNT_WITHIN: Duration = Duration::from_secs(1);

/// The clients' answers.
pub(crate) struct Acknowledged {
    /// In the order of arrival.
    pub(crate) acks: Vec<Ack>,
    /// Sockets that did not answer in time, or whose answers were too long.
    pub(crate) missing: usize,
}

/// One client's answer.
pub(crate) struct Ack {
    /// The socket's public id.
    pub(crate) socket: String,
    /// Its user.
    pub(crate) user: Arc<str>,
    /// The arguments of its acknowledgement: an array.
    pub(crate) args: Value,
}

/// Why nobody was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    /// The back end does not answer, or too many questions wait. Some sockets may have been asked.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// More sockets than may answer.
    #[error("at most {MAX_ANSWERS} sockets may be asked for an acknowledgement, and this would go to {0}")]
    TooMany(usize),
}

/// Emits an event, and waits for `within` for the answers. Ignores the emission's once-key.
pub(crate) async fn ask(shared: &Shared, emission: Emission<'_>, within: Duration) -> Result<Acknowledged, AskError> {
    let Emission { to, except, content, parts, once: _ } = emission;
    let content = Parts::encode(content.into(), parts.as_ref());
    let is_one = matches!(to, To::Socket(..));
    let (namespaces, any) = selected(to);
    let selector = Selector { any, except };
    let nodes = shared.cluster.membership.live().await?.len();
    let replies = nodes * namespaces.len();
    if !is_one {
        let asking = shared.asks.begin().ok_or(Unavailable)?;
        publish(shared, &namespaces, &selector, Act::Count(question(shared, &asking, COUNT_WITHIN))).await?;
        // Those that have not replied by then have no such sockets, as far as this node knows.
        let _ = timeout(COUNT_WITHIN, asking.until(|answers| answers.replies() >= replies)).await;
        match asking.take().found() {
            0 => return Ok(Acknowledged { acks: Vec::new(), missing: 0 }),
            found if found > MAX_ANSWERS => return Err(AskError::TooMany(found)),
            _ => {}
        }
    }
    let asking = shared.asks.begin().ok_or(Unavailable)?;
    publish(shared, &namespaces, &selector, Act::Emit(question(shared, &asking, within), content)).await?;
    let enough = |answers: &Answers| {
        let counted = answers.replies() >= replies || (is_one && answers.found() > 0);
        counted && answers.answered() >= answers.found()
    };
    let _ = timeout(within, asking.until(enough)).await;
    let answers = asking.take();
    let missing = answers.found().saturating_sub(answers.acks.len());
    Ok(Acknowledged { acks: answers.acks.into_iter().filter_map(decode).collect(), missing })
}

/// The namespaces and targets of these receivers.
fn selected(to: To) -> (Vec<Arc<str>>, Vec<Target>) {
    match to {
        To::Users(users) => (NAMESPACES.map(Arc::from).into(), users.into_iter().map(Target::User).collect()),
        To::Room(room) => (vec![room.namespace], vec![Target::Room(room.name)]),
        To::Everyone(namespace) => (vec![namespace], Vec::new()),
        To::Socket(socket, namespace) => (vec![namespace], vec![Target::Socket(socket)]),
    }
}

fn question(shared: &Shared, asking: &Asking<'_>, within: Duration) -> Ask {
    let timeout_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
    Ask { node: Arc::clone(&shared.id.0), id: asking.id, timeout_ms }
}

async fn publish(shared: &Shared, namespaces: &[Arc<str>], selector: &Selector, act: Act) -> Result<(), Unavailable> {
    let message = BusMessage::Selected { selector: selector.clone(), act }.encode();
    for namespace in namespaces {
        shared.cluster.bus.publish(&Channel::Namespace(Arc::clone(namespace)), message.clone()).await?;
    }
    Ok(())
}

/// `None` if the answer is malformed, which no node sends.
fn decode(Answer { socket, user, args }: Answer) -> Option<Ack> {
    let (text, parts) = Parts::decode(args)?;
    let mut args: Value = serde_json::from_slice(&text).ok()?;
    if let Some(parts) = &parts {
        binary::put(&mut args, parts);
    }
    Some(Ack { socket: socket.to_string(), user, args })
}
