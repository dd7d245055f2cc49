//! Backends' emissions to sockets and commands for them, whichever way they come: the HTTP API, a hook's answer, or an
//! emitter.
//!
//! An emission goes to users, a room, everyone in a namespace, or one socket ([`To`]), except some ([`Target`]). It takes
//! the cheapest way: a user's log for users, who get it even if they are away and come back; the channel of the room; the
//! channel of the namespace. Guarantees: every socket gets it at most once; with a once-key, at most once in five minutes,
//! however often and on whichever nodes it is repeated; emissions that await each other keep their order for everyone in
//! the same room, for the same user and for the same socket. Absent sockets miss it, unless it is for their user and they
//! are recovered.
//!
//! A backend may wait for the clients' acknowledgements ([`ask()`]). Commands ([`order`]) run in the order of each socket's
//! own packets. Deliberately checks no caller, and no rule about
//! roles: backends may do all this.

mod ask;
mod binary;
mod content;
pub(crate) mod emitter;
mod names;
mod select;
mod to;

use std::sync::Arc;

use jackfield_cluster::{
    Unavailable,
    bus::Channel,
    wire::{Act, BusMessage, Command, Selector, Target, UserEvent},
};
use jackfield_engine::{Frame, Parts};

pub(crate) use self::{
    ask::{Ack, Acknowledged, AskError, ask},
    binary::put as put_parts,
    content::{arguments, content},
    names::{check_user, check_users, room, user_ids},
    select::act,
    to::{To, ToRequest, socket_id},
};
use crate::session::Shared;

/// An event on its way to its receivers.
pub(crate) struct Emission<'a> {
    pub(crate) to: To,
    /// These sockets do not get it.
    pub(crate) except: Vec<Target>,
    /// `"event",args…`: JSON, with commas between them. See [`content()`].
    pub(crate) content: String,
    /// The binary parts that placeholders in the content refer to.
    pub(crate) parts: Option<Parts>,
    /// An emission with the same key is sent at most once in five minutes.
    pub(crate) once: Option<&'a str>,
}

/// Sends an event. Returns the number of sessions that it was sent to, where that is known: for users. Sockets that are
/// excepted count.
///
/// # Errors
/// [`Unavailable`]: it may have been sent to all, some or none of the receivers.
pub(crate) async fn emit(shared: &Shared, emission: Emission<'_>) -> Result<Option<usize>, Unavailable> {
    let Emission { to, mut except, content, parts, once } = emission;
    let parts = parts.as_ref();
    let frame = |namespace: &str| Frame::event_with(namespace, &content, parts).to_bus();
    let (channel, message) = match to {
        To::Users(mut users) => {
            users.retain(|user| !except.contains(&Target::User(Arc::clone(user))));
            except.retain(|target| !matches!(target, Target::User(_)));
            let event = UserEvent::Event { except, content: Parts::encode(content.into(), parts) };
            let counts = shared.cluster.user_log.send_once(&users, &event, once).await?;
            return Ok(Some(counts.iter().sum()));
        }
        To::Socket(socket, namespace) => {
            let selector = Selector { any: vec![Target::Socket(socket)], except };
            let act = Act::Send(frame(&namespace));
            (Channel::Namespace(namespace), BusMessage::Selected { selector, act })
        }
        To::Room(room) => {
            let frame = frame(&room.namespace);
            (Channel::Room(room), to_members(except, frame))
        }
        To::Everyone(namespace) => {
            let frame = frame(&namespace);
            (Channel::Namespace(namespace), to_members(except, frame))
        }
    };
    let (bus, message) = (&shared.cluster.bus, message.encode());
    match once {
        None => bus.publish(&channel, message).await?,
        Some(once) => drop(bus.publish_once(&channel, message, once).await?),
    }
    Ok(None)
}

fn to_members(except: Vec<Target>, frame: bytes::Bytes) -> BusMessage {
    match except.is_empty() {
        true => BusMessage::Frame(frame),
        false => BusMessage::FrameExcept { except, frame },
    }
}

/// Orders a command for all sockets that the selector names, on every node.
///
/// # Errors
/// [`Unavailable`]: it may or may not have been sent to the nodes.
pub(crate) async fn order(
    shared: &Shared,
    namespace: &Arc<str>,
    selector: Selector,
    command: Command,
) -> Result<(), Unavailable> {
    let message = BusMessage::Selected { selector, act: Act::Command(command) };
    shared.cluster.bus.publish(&Channel::Namespace(Arc::clone(namespace)), message.encode()).await
}
