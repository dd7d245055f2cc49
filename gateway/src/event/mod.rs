//! What clients send, one file each: parse, check, act.
//!
//! A handler gets who sent the event and its first argument, and returns what is acknowledged or why not. Bad input
//! never disconnects and never reaches another socket: the answer is an error acknowledgement where one was asked for,
//! else an `error` event.

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

use std::sync::Arc;

use serde::Serialize;

pub use self::error::EventError;
use self::parse::Event;
use crate::{
    client::Client,
    engine::{Frame, Text},
    ops::metrics,
};

/// Handles one event of `client`.
pub async fn dispatch(client: &Arc<Client>, content: &Text, ack: Option<i64>) {
    let max = client.node.settings.limits.payload as usize;
    if max > 0 && content.as_str().len() > max {
        return refuse(client, content, ack, &EventError::PayloadTooLarge { max });
    }
    let event = match Event::parse(content.as_str()) {
        Ok(event) => event,
        Err(error) => return refuse(client, content, ack, &error),
    };
    let reply = Reply { client, event: &event, ack };
    match &*event.name {
        "echo" => reply.send(echo::handle(&event)),
        "join-room" => match join_room::handle(client, &event, ack).await {
            Ok(()) => metrics::EVENTS.add_for(["ok"], 1),
            Err(error) => reply.send(Err::<(), _>(error)),
        },
        "leave-room" => reply.send(leave_room::handle(client, &event).await),
        "message" => reply.send(message::handle(client, &event).await),
        "message-client" => reply.send(message_client::handle(client, &event).await),
        "notification:list" => {
            reply.send_json(notification_list::handle(client, &event).await);
            // Changes since then may have been told before the answer: the last word is the count as it comes by the bus.
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
        _ => reply.send(Err::<(), _>(EventError::UnknownEvent)),
    }
}

/// Answers an event with an error, without handling it.
pub fn refuse(client: &Client, content: &Text, ack: Option<i64>, error: &EventError) {
    let name = Event::parse(content.as_str()).map(|event| event.name.into_owned()).unwrap_or_default();
    answer(client, ack, error, &name);
}

/// The `error` event that says what was wrong with `event`.
#[must_use]
pub fn error_frame(client: &Client, error: &EventError, event: &str) -> Option<Frame> {
    Frame::event(&client.namespace.name, "error", &error.body(Some(event)))
}

struct Reply<'a> {
    client: &'a Client,
    event: &'a Event<'a>,
    ack: Option<i64>,
}

impl Reply<'_> {
    fn send<T: Serialize>(&self, result: Result<T, EventError>) {
        match (result, self.ack) {
            (Ok(data), Some(id)) => {
                metrics::EVENTS.add_for(["ok"], 1);
                acknowledge(self.client, id, &data);
            }
            (Ok(_), None) => metrics::EVENTS.add_for(["ok"], 1),
            (Err(error), ack) => answer(self.client, ack, &error, &self.event.name),
        }
    }

    /// As [`Reply::send`], for an acknowledgement that is JSON text already.
    fn send_json(&self, result: Result<String, EventError>) {
        match (result, self.ack) {
            (Ok(json), Some(id)) => {
                metrics::EVENTS.add_for(["ok"], 1);
                self.client.send(&Frame::ack_json(&self.client.namespace.name, id, &json));
            }
            (result, _) => self.send(result.map(drop)),
        }
    }
}

fn answer(client: &Client, ack: Option<i64>, error: &EventError, event: &str) {
    metrics::EVENTS.add_for([error.code()], 1);
    match ack {
        Some(id) => acknowledge(client, id, &error.body(None)),
        None => {
            if let Some(frame) = error_frame(client, error, event) {
                client.send(&frame);
            }
        }
    }
}

fn acknowledge<T: Serialize + ?Sized>(client: &Client, id: i64, data: &T) {
    if let Some(frame) = Frame::ack(&client.namespace.name, id, data) {
        client.send(&frame);
    }
}

/// `{status:"ok"}`, where there is nothing else to say.
#[derive(Serialize)]
struct Done {
    status: &'static str,
}

const DONE: Done = Done { status: "ok" };
