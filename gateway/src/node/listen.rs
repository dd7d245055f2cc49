//! Receives bus messages, and passes them on in the order in which they came.

use std::{iter, sync::Arc};

use bytes::Bytes;
use chrono::DateTime;
use jackfield_shared::{
    time::rfc3339,
    trace::{Origin, Span, SpanKind, within},
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{MAIN, Node};
use crate::{
    cluster::{
        bus::{BusEvent, Channel},
        carried,
        ids::SessionId,
        notice::{EndReading, BusMessage},
    },
    engine::{Frame, Parts, record_write},
    ops::metrics,
};

/// Sessions, or readers, that are sent to before the task yields.
const BATCH: usize = 256;

pub(super) async fn listen(node: Arc<Node>, mut events: mpsc::Receiver<BusEvent>) {
    let stopping = node.lifecycle.stopping();
    while let Some(Some(event)) = stopping.run_until_cancelled(events.recv()).await {
        match event {
            BusEvent::Message(channel, payload) => {
                let (origin, notice) = carried::open(payload);
                if let Some(notice) = BusMessage::decode(&notice) {
                    hear(&node, &channel, notice, origin).await;
                }
            }
            BusEvent::Gap => {
                tracing::warn!("messages from other nodes may have been missed");
                metrics::BUS_MISSED.add(1);
                node.on_bus_gap();
            }
        }
    }
}

async fn hear(node: &Arc<Node>, channel: &Channel, notice: BusMessage, origin: Option<Origin>) {
    let span =
        Span::follow(origin, "deliver", SpanKind::Consumer).map(|span| span.with("node.id", node.id.to_string()));
    match channel {
        Channel::Room(room) => match node.feeds.of(&room.namespace) {
            Some(feed) => feed.hear(notice, span),
            None => node.rooms.hear(node, room, notice, span),
        },
        _ => within(span, act(node, channel, notice)).await,
    }
}

async fn act(node: &Arc<Node>, channel: &Channel, notice: BusMessage) {
    match notice {
        BusMessage::Frame(bytes) => {
            if let Channel::Namespace(name) = channel
                && let Some(namespace) = node.hub.namespace(name)
                && let Some(frame) = Frame::from_bus(bytes)
            {
                namespace.fan_out(&frame).await;
            }
        }
        BusMessage::Evicted(session) => {
            if let Some(connection) = node.connections.find(&session) {
                connection.evicted();
            }
        }
        BusMessage::Presence { online, at, user } => announce(node, online, at, &user).await,
        BusMessage::Roster(part) => node.roster.hear(part),
        BusMessage::RosterWanted => node.roster.say_again(),
        BusMessage::ToSessions { sessions, event } => to_sessions(node, &sessions, event).await,
        BusMessage::End { sessions, reason } => {
            for connection in sessions.iter().filter_map(|session| node.connections.find(session)) {
                connection.ended(&reason);
            }
        }
        BusMessage::EndReading(EndReading { user, reason }) => end_reading(node, &user, &reason).await,
        // For rooms only.
        BusMessage::Message { .. } | BusMessage::Joined { .. } | BusMessage::Left { .. } | BusMessage::FrameToOthers { .. } => {}
    }
}

/// Sends an event to all sockets of these sessions, encoded once for each namespace.
async fn to_sessions(node: &Arc<Node>, sessions: &[SessionId], event: Bytes) {
    let Some((event, parts)) = Parts::decode(event) else { return };
    let mut frames: Vec<(Arc<str>, Frame)> = Vec::new();
    for batch in sessions.chunks(BATCH) {
        let connections = batch.iter().filter_map(|session| node.connections.find(session));
        let clients: Vec<_> = connections.flat_map(|connection| connection.sockets()).collect();
        metrics::DELIVERIES.add(clients.len());
        for client in clients {
            let name = &client.namespace.name;
            let place = frames.iter().position(|(namespace, _)| namespace == name).unwrap_or_else(|| {
                let frame = Frame::event_with(name, &event, parts.clone());
                record_write(&frame, iter::once(client.outbox()));
                frames.push((Arc::clone(name), frame));
                frames.len() - 1
            });
            client.send(&frames[place].1);
        }
        tokio::task::yield_now().await;
    }
}

/// Removes a user from all feeds here. Rare, so that readers need not be ordered by user.
async fn end_reading(node: &Arc<Node>, user: &str, reason: &str) {
    for batch in node.readers.all().chunks(BATCH) {
        for connection in batch {
            connection.ended_in_feeds(user, reason);
        }
        tokio::task::yield_now().await;
    }
}

/// Sends to all members while the roster lists them; beyond that, to those who watch the user.
async fn announce(node: &Arc<Node>, online: bool, at: i64, user: &str) {
    let Some(namespace) = node.hub.namespace(MAIN) else { return };
    let event = if online { "user:online" } else { "user:offline" };
    let timestamp = DateTime::from_timestamp_millis(at).map(rfc3339);
    let Some(frame) = Frame::event(MAIN, event, &json!({ "userId": user, "timestamp": timestamp })) else { return };
    if node.roster.is_listed(namespace.len()) {
        namespace.fan_out(&frame).await;
    } else {
        namespace.send_to(node.hub.watchers.of(user).into_iter(), &frame);
    }
}
