//! What clients send, one file each: parse, check, act.
//!
//! A handler gets who sent the event and its first argument, and returns what is acknowledged or why not. Bad input
//! never disconnects and never reaches another socket: the answer is an error acknowledgement where one was asked for,
//! else an `error` event.

mod echo;
mod error;
mod message;
mod message_client;
mod parse;
mod presence_subscribe;
mod token_refresh;

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
        "message" => reply.send(message::handle(client, &event).await),
        "message-client" => reply.send(message_client::handle(client, &event).await),
        "presence:subscribe" => reply.send(presence_subscribe::handle(client, &event).await),
        "token:refresh" => reply.send(token_refresh::handle(client, &event).await),
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
                metrics::events("ok");
                acknowledge(self.client, id, &data);
            }
            (Ok(_), None) => metrics::events("ok"),
            (Err(error), ack) => answer(self.client, ack, &error, &self.event.name),
        }
    }
}

fn answer(client: &Client, ack: Option<i64>, error: &EventError, event: &str) {
    metrics::events(error.code());
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
