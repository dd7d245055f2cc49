//! The events that clients send, one file each: parse, check, act. `dispatch` lists those of `/` and `/chat`,
//! `dispatch_in_feed` those of feeds. [`hooked`] sends others to the backends that handle them, and [`command`] runs what
//! backends order for a socket.
//!
//! A handler gets the sender and the event, and returns the acknowledgement or the error. Invalid arguments never
//! disconnect and never reach another socket: the answer is an error acknowledgement if the client asked for one, else
//! an `error` event. Only a packet that is no event is [`Malformed`] and ends the connection.

mod command;
mod content;
mod done;
mod echo;
mod hooked;
mod join_room;
mod leave_room;
mod message;
mod message_client;
mod notification_list;
mod notification_mark_read;
mod parse;
mod presence_subscribe;
mod private_message;
mod room;
mod room_history;
mod room_members;
mod room_message;
mod send_message;
mod token_refresh;
mod typing;
mod update_product;

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};
use jackfield_cluster::{ids::SessionKey, wire::Command};
use jackfield_engine::Frame;
use jackfield_shared::trace;
use serde::Serialize;

use self::{hooked::Hooked, parse::Event};
pub(crate) use self::{room_members::MAX_LISTED, send_message::MAX_CLIENT_ID};
use crate::{
    metrics,
    session::{
        Addressee, Dispatch, EventError, Malformed, Outcome, RawEvent, Sender, SubscriberSender, acknowledge, answer,
    },
};

/// Most characters of an event's name in a trace or an error.
const LONGEST_NAME: usize = 64;

/// All events.
#[derive(Default)]
pub(crate) struct Events {
    hooked: Arc<Hooked>,
}

impl Dispatch for Events {
    fn handle_at_once(&self, sender: &Sender<'_>, raw: RawEvent<'_>) -> Option<Result<(), Malformed>> {
        // A traced event has a span, which belongs to a task.
        if trace::is_on() || !raw.content.starts_with(ECHO) || sender.shared.hooks.is_off("echo") {
            return None;
        }
        let event = match parse(raw) {
            Ok(event) => event,
            Err(malformed) => return Some(Err(malformed)),
        };
        echo(&**sender.client, &event, raw.ack);
        Some(Ok(()))
    }

    fn handle<'a>(&'a self, sender: Sender<'a>, event: RawEvent<'a>) -> BoxFuture<'a, Result<(), Malformed>> {
        dispatch(&self.hooked, sender, event).boxed()
    }

    fn is_handling(&self, session: SessionKey) -> bool {
        self.hooked.has(session)
    }

    fn run<'a>(&self, sender: Sender<'a>, command: &'a Command) -> BoxFuture<'a, Outcome> {
        command::run(sender, command).boxed()
    }

    fn handle_in_feed<'a>(
        &self,
        sender: SubscriberSender<'a>,
        event: RawEvent<'a>,
    ) -> BoxFuture<'a, Result<(), Malformed>> {
        dispatch_in_feed(sender, event).boxed()
    }
}

/// How the content of an `echo` begins, the only event that needs nothing but its own arguments.
const ECHO: &str = "[\"echo\"";
/// The names of all events of `/` and `/chat`.
pub(crate) const NAMES: [&str; 15] = [
    "echo",
    "join-room",
    "leave-room",
    "message",
    "message-client",
    "notification:list",
    "notification:mark_read",
    "presence:subscribe",
    "private-message",
    "room-history",
    "room-members",
    "room-message",
    "send-message",
    "token:refresh",
    "typing",
];
/// Events that forward binary parts.
const WITH_PARTS: [&str; 4] = ["echo", "message", "message-client", "room-message"];

// Each handler's future has a box of its own. Otherwise the future of this function would have room for the largest, and
// all of that room would be copied for every event.
async fn dispatch(hooked: &Arc<Hooked>, sender: Sender<'_>, raw: RawEvent<'_>) -> Result<(), Malformed> {
    let event = parse(raw)?;
    let (sender, client, ack) = (&sender, sender.client, raw.ack);
    let reply = Reply { to: &**client, event: &event, ack };
    if let Some(hook) = hooked::hook_of(sender, &event.name) {
        if let Err(error) = hooked.take(sender, hook, &event, ack) {
            reply.send(Err::<(), _>(error));
        }
        return Ok(());
    }
    if let Some(error) = refuse_parts(&event) {
        reply.send(Err::<(), _>(error));
        return Ok(());
    }
    match &*event.name {
        name if sender.shared.hooks.is_off(name) => reply.unknown(),
        "echo" => echo(&**client, &event, ack),
        "join-room" => match Box::pin(join_room::handle(sender, &event, ack)).await {
            Ok(()) => metrics::EVENTS.add_for(["ok"], 1),
            Err(error) => reply.send(Err::<(), _>(error)),
        },
        "leave-room" => reply.send(Box::pin(leave_room::handle(sender, &event)).await),
        "message" => reply.send(Box::pin(message::handle(sender, &event)).await),
        "message-client" => reply.send(Box::pin(message_client::handle(sender, &event)).await),
        "notification:list" => {
            reply.send_json(Box::pin(notification_list::handle(sender, &event)).await);
            // Changes since the read may have been pushed before this answer: push the current count once more, over
            // the bus, so that the client ends with the latest one.
            sender.shared.unread.push([client.session_ref()]);
        }
        "notification:mark_read" => reply.send(Box::pin(notification_mark_read::handle(sender, &event)).await),
        "presence:subscribe" => reply.send(Box::pin(presence_subscribe::handle(sender, &event)).await),
        "private-message" => reply.send(Box::pin(private_message::handle(sender, &event)).await),
        "room-history" => reply.send_json(Box::pin(room_history::handle(sender, &event)).await),
        "room-members" => reply.send(Box::pin(room_members::handle(sender, &event)).await),
        "room-message" => reply.send(Box::pin(room_message::handle(sender, &event)).await),
        "send-message" => reply.send(Box::pin(send_message::handle(sender, &event)).await),
        "token:refresh" => reply.send(Box::pin(token_refresh::handle(sender, &event)).await),
        "typing" => reply.send(Box::pin(typing::handle(sender, &event)).await),
        _ => reply.unknown(),
    }
    Ok(())
}

fn echo(to: &dyn Addressee, event: &Event<'_>, ack: Option<i64>) {
    metrics::EVENTS.add_for(["ok"], 1);
    echo::handle(to, event, ack);
}

async fn dispatch_in_feed(sender: SubscriberSender<'_>, raw: RawEvent<'_>) -> Result<(), Malformed> {
    let event = parse(raw)?;
    let sender = &sender;
    let reply = Reply { to: &**sender.subscriber, event: &event, ack: raw.ack };
    if let Some(error) = refuse_parts(&event) {
        reply.send(Err::<(), _>(error));
        return Ok(());
    }
    match &*event.name {
        "token:refresh" => reply.send(Box::pin(token_refresh::handle_in_feed(sender, &event)).await),
        "updateProduct" => reply.send(Box::pin(update_product::handle(sender, &event)).await),
        _ => reply.unknown(),
    }
    Ok(())
}

fn parse<'a>(raw: RawEvent<'a>) -> Result<Event<'a>, Malformed> {
    let event = Event::parse(raw.content, raw.parts)?;
    trace::rename(|| event.name.chars().take(LONGEST_NAME).collect::<String>().into());
    Ok(event)
}

/// Refuses binary parts of events that do not forward them.
fn refuse_parts(event: &Event<'_>) -> Option<EventError> {
    event.parts.filter(|_| !WITH_PARTS.contains(&&*event.name))?;
    let path = event.path_of_part().filter(|path| !path.is_empty());
    let path: String = path.map(|path| format!("{path}: ")).unwrap_or_default().chars().take(LONGEST_NAME).collect();
    let name: String = event.name.chars().take(LONGEST_NAME).collect();
    Some(EventError::Validation(format!("{path}{name} must not have binary parts")))
}

struct Reply<'a> {
    to: &'a dyn Addressee,
    event: &'a Event<'a>,
    ack: Option<i64>,
}

impl Reply<'_> {
    fn send<T: Serialize>(&self, result: Result<T, EventError>) {
        match (result, self.ack) {
            (Ok(data), Some(id)) => {
                metrics::EVENTS.add_for(["ok"], 1);
                acknowledge(self.to, id, &data);
            }
            (Ok(_), None) => metrics::EVENTS.add_for(["ok"], 1),
            (Err(error), ack) => answer(self.to, ack, &error, &self.event.name),
        }
    }

    fn unknown(&self) {
        trace::rename(|| "unknown event".into());
        self.send(Err::<(), _>(EventError::UnknownEvent));
    }

    /// Like [`Reply::send`], for an acknowledgement that is already JSON text.
    fn send_json(&self, result: Result<String, EventError>) {
        match (result, self.ack) {
            (Ok(json), Some(id)) => {
                metrics::EVENTS.add_for(["ok"], 1);
                self.to.send(&Frame::ack_json(self.to.namespace(), id, &json));
            }
            (result, _) => self.send(result.map(drop)),
        }
    }
}
