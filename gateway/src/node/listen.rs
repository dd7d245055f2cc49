//! Receives bus messages, and passes them to rooms, feeds and sessions in the order of their arrival.

use std::sync::Arc;

use jackfield_cluster::{
    bus::{BusEvent, BusEvents, Channel},
    ids::{SessionId, SessionKey},
    wire::{BusMessage, EndSubscriptions, envelope},
};
use jackfield_engine::Frame;
use jackfield_shared::trace::{Origin, Span, SpanKind, within};

use crate::{
    emit,
    hub::Member as _,
    metrics, notification,
    session::{MAIN, PresenceChange, Shared, UserFrames, announcement},
};

/// Sessions or subscribers that are sent to before the task yields.
const BATCH: usize = 256;

pub(super) async fn listen(shared: Arc<Shared>, mut events: BusEvents) {
    let stopping = shared.lifecycle.stopping();
    while let Some(Some(event)) = stopping.run_until_cancelled(events.recv()).await {
        match event {
            BusEvent::Message(channel, payload) => {
                let (origin, message) = envelope::open(payload);
                if let Some(message) = BusMessage::decode(&message) {
                    receive(&shared, &channel, message, origin).await;
                }
            }
            BusEvent::Gap(partitions) => {
                tracing::warn!(
                    partitions = partitions.len(),
                    "messages from other nodes may have been lost: reading the logs and re-registering the sessions"
                );
                metrics::BUS_MISSED.add(1);
                shared.on_bus_gap(partitions);
            }
        }
    }
}

async fn receive(shared: &Arc<Shared>, channel: &Channel, message: BusMessage, origin: Option<Origin>) {
    let span =
        Span::follow(origin, "deliver", SpanKind::Consumer).map(|span| span.with("node.id", shared.id.to_string()));
    match channel {
        Channel::Room(room) => match shared.feeds.of(&room.namespace) {
            Some(feed) => feed.receive(message, span),
            None => shared.rooms.receive(room, message, span),
        },
        _ => within(span, act(shared, channel, message)).await,
    }
}

async fn act(shared: &Arc<Shared>, channel: &Channel, message: BusMessage) {
    match message {
        BusMessage::Frame(bytes) => {
            if let Channel::Namespace(name) = channel
                && let Some(namespace) = shared.namespaces.find(name)
                && let Some(frame) = Frame::from_bus(bytes)
            {
                namespace.members.fan_out(&frame).await;
            }
        }
        BusMessage::FrameExcept { except, frame } => {
            if let Channel::Namespace(name) = channel
                && let Some(namespace) = shared.namespaces.find(name)
                && let Some(frame) = Frame::from_bus(frame)
            {
                namespace.members.fan_out_to(&frame, |client| !client.is_any_of(&except)).await;
            }
        }
        BusMessage::Selected { selector, act } => {
            if let Channel::Namespace(name) = channel {
                emit::act(shared, name, &selector, act).await;
            }
        }
        BusMessage::Replied { reply, bytes } => shared.asks.receive(reply, bytes),
        BusMessage::Evicted(session) => {
            if let Some(connection) = shared.connection(&session) {
                connection.evicted();
            }
        }
        BusMessage::Arrived { at, session, about } => {
            announce(shared, PresenceChange::Online, at, &about, SessionKey::of(&session)).await;
        }
        BusMessage::Departed { at, about } => announce(shared, PresenceChange::Offline, at, &about, None).await,
        BusMessage::Roster(part) => shared.roster.receive(part),
        BusMessage::RosterRequest => shared.roster.announce_again(),
        BusMessage::ForUser { sessions, position, event } => {
            let Some(mut frames) = UserFrames::new(&event) else { return };
            for batch in sessions.chunks(BATCH) {
                for connection in batch.iter().filter_map(|session| shared.connection(session)) {
                    connection.receive_user_event(position, &mut frames);
                }
                tokio::task::yield_now().await;
            }
        }
        BusMessage::Unread { sessions, unread, at } => {
            send_count(shared, &sessions, &notification::count(unread, &at)).await;
        }
        BusMessage::End { sessions, reason } => {
            for connection in sessions.iter().filter_map(|session| shared.connection(session)) {
                connection.ended_by_backend(&reason);
            }
        }
        BusMessage::EndSubscriptions(EndSubscriptions { user, reason }) => {
            end_subscriptions(shared, &user, &reason).await;
        }
        BusMessage::Revoked { last, entries } => {
            if !shared.revocations.receive(last, entries, |user| shared.may_have(user)) {
                // The heartbeat reads the list.
                shared.lease.beat_now();
            }
        }
        // Sent to rooms only.
        BusMessage::Message { .. } | BusMessage::FrameToOthers { .. } => {}
    }
}

/// Sends the number of unread notifications to all sockets of these sessions, encoded once for each namespace.
async fn send_count(shared: &Arc<Shared>, sessions: &[SessionId], content: &str) {
    let mut frames: Vec<(Arc<str>, Frame)> = Vec::new();
    for batch in sessions.chunks(BATCH) {
        let connections = batch.iter().filter_map(|session| shared.connection(session));
        let clients: Vec<_> = connections.flat_map(|connection| connection.recipients()).collect();
        metrics::DELIVERIES.add(clients.len());
        for client in clients {
            let name = &client.namespace.name;
            let index = frames.iter().position(|(namespace, _)| namespace == name).unwrap_or_else(|| {
                frames.push((Arc::clone(name), Frame::event_content(name, content)));
                frames.len() - 1
            });
            client.send(&frames[index].1);
        }
        tokio::task::yield_now().await;
    }
}

/// Ends a user's subscriptions to all feeds on this node. Walks all subscribers, because this is rare.
async fn end_subscriptions(shared: &Arc<Shared>, user: &str, reason: &str) {
    for batch in shared.subscribed.all().chunks(BATCH) {
        for connection in batch {
            connection.subscriptions_ended_by_backend(user, reason);
        }
        tokio::task::yield_now().await;
    }
}

/// Announces a user to all members if the roster lists all sockets, else to the members that watch the user. The session
/// that arrived announces its user to its own first socket.
async fn announce(shared: &Arc<Shared>, change: PresenceChange, at: i64, user: &str, arrived: Option<SessionKey>) {
    let Some(namespace) = shared.namespaces.find(MAIN) else { return };
    if shared.roster.is_listed(namespace.members.len()) {
        if let Some(frame) = announcement(change, at, user) {
            namespace.members.fan_out_to(&frame, |client| Some(client.session) != arrived).await;
        }
        return;
    }
    let watchers = shared.watchers.of(user);
    if watchers.is_empty() {
        return;
    }
    let Some(frame) = announcement(change, at, user) else { return };
    metrics::DELIVERIES.add(watchers.len());
    for client in watchers {
        client.send(&frame);
    }
}
