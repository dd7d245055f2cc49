//! The events that clients send, one file each: parse, check, act. [`dispatch`] lists those of `/` and `/chat`,
//! [`dispatch_in_feed`] those of feeds.
//!
//! A handler gets the sender and the event, and returns the acknowledgement or the error. Invalid arguments never
//! disconnect and never reach another socket: the answer is an error acknowledgement if the client asked for one, else
//! an `error` event. Only a packet that is no event is [`Malformed`] and ends the connection.

mod content;
mod echo;
mod error;
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

use jackfield_shared::trace;
use serde::Serialize;

pub use self::error::EventError;
use self::parse::Event;
pub use self::parse::Malformed;
use crate::{
    client::{Client, Reader},
    engine::{Frame, Parts, Text},
    ops::metrics,
};

/// Most characters of an event's name in a trace or an error.
const LONGEST_NAME: usize = 64;

/// The receiver of an answer: a socket in a namespace.
pub trait Addressee: Send + Sync {
    /// Its namespace's name.
    fn namespace(&self) -> &str;

    /// Sends a frame; a socket whose queue is full is too slow and is closed.
    fn send(&self, frame: &Frame);
}

/// Events whose binary parts are passed on.
const WITH_PARTS: [&str; 4] = ["echo", "message", "message-client", "room-message"];

/// Handles one event of `client`.
///
/// # Errors
/// [`Malformed`]: the caller closes the connection.
pub async fn dispatch(
    client: &Arc<Client>,
    content: &Text,
    parts: Option<&Parts>,
    ack: Option<i64>,
) -> Result<(), Malformed> {
    let event = parse(content, parts)?;
    let reply = Reply { to: &**client, event: &event, ack };
    if let Some(error) = refuse_parts(&event) {
        reply.send(Err::<(), _>(error));
        return Ok(());
    }
    match &*event.name {
        "echo" => {
            metrics::EVENTS.add_for(["ok"], 1);
            echo::handle(&**client, &event, ack);
        }
        "join-room" => match join_room::handle(client, &event, ack).await {
            Ok(()) => metrics::EVENTS.add_for(["ok"], 1),
            Err(error) => reply.send(Err::<(), _>(error)),
        },
        "leave-room" => reply.send(leave_room::handle(client, &event).await),
        "message" => reply.send(message::handle(client, &event).await),
        "message-client" => reply.send(message_client::handle(client, &event).await),
        "notification:list" => {
            reply.send_json(notification_list::handle(client, &event).await);
            // Changes since the read may have been pushed before this answer: push the count again, in the bus's order.
            client.node.counts.tell([client.holding()]);
        }
        "notification:mark_read" => reply.send(notification_mark_read::handle(client, &event).await),
        "presence:subscribe" => reply.send(presence_subscribe::handle(client, &event).await),
        "private-message" => reply.send(private_message::handle(client, &event).await),
        "room-history" => reply.send_json(room_history::handle(client, &event).await),
        "room-members" => reply.send(room_members::handle(client, &event).await),
        "room-message" => reply.send(room_message::handle(client, &event).await),
        "send-message" => reply.send(send_message::handle(client, &event).await),
        "token:refresh" => reply.send(token_refresh::handle(client, &event).await),
        "typing" => reply.send(typing::handle(client, &event).await),
        _ => {
            trace::rename(|| "unknown event".into());
            reply.send(Err::<(), _>(EventError::UnknownEvent));
        }
    }
    Ok(())
}

/// Handles one event of a feed's reader.
///
/// # Errors
/// [`Malformed`]: the caller closes the connection.
pub async fn dispatch_in_feed(
    reader: &Arc<Reader>,
    content: &Text,
    parts: Option<&Parts>,
    ack: Option<i64>,
) -> Result<(), Malformed> {
    let event = parse(content, parts)?;
    let reply = Reply { to: &**reader, event: &event, ack };
    if let Some(error) = refuse_parts(&event) {
        reply.send(Err::<(), _>(error));
        return Ok(());
    }
    match &*event.name {
        "token:refresh" => reply.send(token_refresh::handle_in_feed(reader, &event).await),
        "updateProduct" => reply.send(update_product::handle(reader, &event).await),
        _ => {
            trace::rename(|| "unknown event".into());
            reply.send(Err::<(), _>(EventError::UnknownEvent));
        }
    }
    Ok(())
}

fn parse<'a>(content: &'a Text, parts: Option<&'a Parts>) -> Result<Event<'a>, Malformed> {
    let event = Event::parse(content.as_str(), parts)?;
    trace::rename(|| event.name.chars().take(LONGEST_NAME).collect::<String>().into());
    Ok(event)
}

/// Refuses binary parts with events that do not pass them on.
fn refuse_parts(event: &Event<'_>) -> Option<EventError> {
    event.parts.filter(|_| !WITH_PARTS.contains(&&*event.name))?;
    let path = event.path_of_part().filter(|path| !path.is_empty());
    let path: String = path.map(|path| format!("{path}: ")).unwrap_or_default().chars().take(LONGEST_NAME).collect();
    let name: String = event.name.chars().take(LONGEST_NAME).collect();
    Some(EventError::Validation(format!("{path}{name} takes no binary parts")))
}

/// The `error` event that reports an error of `event`.
#[must_use]
pub fn error_frame(to: &dyn Addressee, error: &EventError, event: &str) -> Option<Frame> {
    Frame::event(to.namespace(), "error", &error.body(Some(event)))
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

    /// As [`Reply::send`], for an acknowledgement that is JSON text already.
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

/// Answers an event with an error: in the acknowledgement if the client asked for one, else as an `error` event.
pub fn answer(to: &dyn Addressee, ack: Option<i64>, error: &EventError, event: &str) {
    metrics::EVENTS.add_for([error.code()], 1);
    trace::note("error.type", error.code());
    match ack {
        Some(id) => acknowledge(to, id, &error.body(None)),
        None => {
            if let Some(frame) = error_frame(to, error, event) {
                to.send(&frame);
            }
        }
    }
}

fn acknowledge<T: Serialize + ?Sized>(to: &dyn Addressee, id: i64, data: &T) {
    if let Some(frame) = Frame::ack(to.namespace(), id, data) {
        to.send(&frame);
    }
}

/// `{status:"ok"}`, for acknowledgements without further data.
#[derive(Serialize)]
struct Done {
    status: &'static str,
}

const DONE: Done = Done { status: "ok" };
