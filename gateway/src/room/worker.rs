//! A room's worker on this node: it admits and removes sockets and delivers messages, in order.
//!
//! It rests in the room's mailbox while there is nothing to do, and then costs a few hundred bytes.

use std::{collections::HashSet, sync::Arc, time::Instant};

use jackfield_cluster::{
    Unavailable,
    ids::{SessionKey, SocketId},
    log::Position,
    room_name::RoomName,
    wire::BusMessage,
};
use jackfield_engine::{CloseReason, Frame};
use jackfield_shared::{
    time::now,
    trace::{Span, within},
};
use serde_json::json;
use tokio::sync::oneshot;

use super::{
    back_end::BackEnd,
    enter::Waiting,
    join::{JoinError, Joined, Joining, Occupant},
    mailbox::Mailbox,
    messages::new_message,
    recent::Recent,
    signals::Signals,
};
use crate::{
    hub::Group,
    log_follower::{LogFollower, Sink},
    metrics,
};

/// See the module.
pub(super) struct Worker<M> {
    pub(super) follower: LogFollower,
    pub(super) local: LocalRoom<M>,
    /// Sockets between two rounds of their join: they keep the room open, but are not members yet.
    pub(super) pending: HashSet<SocketId>,
    /// Whether [`Worker::forget`] will be called.
    is_listed: bool,
}

/// The inputs of a room, handled in order. A socket has at most one join and one leave waiting.
pub(super) enum Input<M> {
    Message(BusMessage, Option<Span>),
    Join(Joining<M>, oneshot::Sender<Result<Joined, JoinError>>),
    Leave(Arc<M>),
}

/// The room on this node: the sink of its log's messages.
pub(super) struct LocalRoom<M> {
    pub(super) name: RoomName,
    pub(super) signals: Arc<Signals>,
    /// Shared with the room's handle.
    pub(super) members: Arc<Group<M>>,
    /// Answers joins; every delivered message is added.
    pub(super) recent: Recent,
}

impl<M: Occupant> Worker<M> {
    pub(super) fn new(follower: LogFollower, name: RoomName, signals: Arc<Signals>, recent: Recent) -> Self {
        let local = LocalRoom { name, signals, members: Arc::default(), recent };
        Self { follower, local, pending: HashSet::new(), is_listed: false }
    }

    /// Handles inputs, and reads the log if messages may have been missed.
    pub(super) async fn turn(
        &mut self,
        back_end: &BackEnd,
        mailbox: &Mailbox<Self, Input<M>>,
        inputs: impl Iterator<Item = Input<M>>,
    ) {
        self.handle_all(back_end, inputs).await;
        if self.local.signals.log.is_behind() && !self.is_unused() {
            // Boxed, because it is rare, and the future of a delivery has no room for it then.
            Box::pin(self.catch_up(mailbox)).await;
        }
    }

    /// Whether the room needs no worker.
    pub(super) fn is_unused(&self) -> bool {
        self.local.members.is_empty() && self.pending.is_empty()
    }

    /// Whether the room keeps messages for joins, and did not when this was last called: [`Worker::forget`] must be
    /// called from now on.
    pub(super) fn begins_to_keep(&mut self) -> bool {
        let is_kept = self.local.recent.is_kept();
        is_kept && !std::mem::replace(&mut self.is_listed, is_kept)
    }

    /// Drops the messages kept for joins if there was none recently. False if there are none any more.
    pub(super) fn forget(&mut self, now: Instant) -> bool {
        self.local.recent.forget(now);
        self.is_listed = self.local.recent.is_kept();
        self.is_listed
    }

    /// The worker panicked, so its state may be wrong: closes its members' connections. They come back and join again.
    pub(super) fn abort(&self) {
        self.local.members.abort(CloseReason::Unavailable);
    }

    /// Reads the log as soon as it is time to, unless an input arrives before.
    async fn catch_up(&mut self, mailbox: &Mailbox<Self, Input<M>>) {
        let signals = Arc::clone(&self.local.signals);
        tokio::select! {
            biased;
            () = self.follower.behind(&signals.log) => drop(self.repair().await),
            () = mailbox.arrived() => {}
        }
    }

    /// Handles the inputs in order, and consecutive joins together.
    async fn handle_all(&mut self, back_end: &BackEnd, inputs: impl Iterator<Item = Input<M>>) {
        let mut together = Vec::new();
        for input in inputs {
            if let Input::Join(joining, done) = input {
                together.push(Waiting { joining, done });
                continue;
            }
            self.join_all(back_end, &mut together).await;
            match input {
                Input::Message(message, span) => within(span, self.receive(message)).await,
                Input::Leave(socket) => self.leave(&socket),
                Input::Join(..) => {}
            }
        }
        self.join_all(back_end, &mut together).await;
    }

    async fn join_all(&mut self, back_end: &BackEnd, together: &mut Vec<Waiting<M>>) {
        if !together.is_empty() {
            // Boxed, so that the future of a delivery has no room for it.
            Box::pin(self.admit_together(back_end, std::mem::take(together))).await;
        }
    }

    async fn receive(&mut self, message: BusMessage) {
        let Self { follower, local, .. } = self;
        match message {
            BusMessage::Message { position, body } => {
                let signals = Arc::clone(&local.signals);
                follower.live(position, &body, &signals.log, local).await;
            }
            BusMessage::Frame(frame) => {
                if let Some(frame) = Frame::from_bus(frame) {
                    local.members.fan_out(&frame).await;
                }
            }
            BusMessage::FrameToOthers { except, frame } => {
                if let Some(frame) = Frame::from_bus(frame) {
                    local.members.fan_out_to(&frame, |member| member.id() != except).await;
                }
            }
            BusMessage::FrameExcept { except, frame } => {
                if let Some(frame) = Frame::from_bus(frame) {
                    local.members.fan_out_to(&frame, |member| !member.is_any_of(&except)).await;
                }
            }
            BusMessage::Arrived { session, about, .. } => {
                let frame = local.about("user-joined", &about);
                let arrived = SessionKey::of(&session);
                local.members.fan_out_to(&frame, |member| Some(member.session()) != arrived).await;
            }
            BusMessage::Departed { about, .. } => {
                let frame = local.about("user-left", &about);
                local.members.fan_out(&frame).await;
            }
            // Sent to nodes, not to rooms.
            _ => {}
        }
    }

    /// Reads and delivers the missing messages; false if the log does not answer.
    pub(super) async fn repair(&mut self) -> bool {
        let signals = Arc::clone(&self.local.signals);
        self.follower.repair(&signals.log, &mut self.local).await
    }

    pub(super) fn leave(&mut self, socket: &Arc<M>) {
        self.pending.remove(&socket.id());
        self.local.members.leave(socket);
    }
}

impl<M: Occupant> LocalRoom<M> {
    /// Adds the room to a profile: `{userId, name}` becomes `{userId, name, room}`.
    fn about(&self, event: &str, profile: &str) -> Frame {
        let profile = profile.strip_suffix('}').unwrap_or("{\"userId\":null");
        // A room's name has no character that JSON would escape.
        let data = format!("{profile},\"room\":\"{}\"}}", self.name.name);
        Frame::event_json(&self.name.namespace, event, data)
    }
}

impl<M: Occupant> Sink for LocalRoom<M> {
    const KIND: &'static str = "room";

    async fn deliver(&mut self, position: Position, body: &Arc<str>) {
        self.signals.at(position);
        self.recent.push(position, body);
        let frame = new_message(&self.name, position, body);
        self.members.fan_out_at(&frame, &self.name.name, position).await;
        metrics::DELIVERED.add(1);
        let stopwatch = &self.signals.stopwatch;
        if stopwatch.is_running()
            && let Some(took) = stopwatch.delivered(position, now())
        {
            metrics::DELIVERY.record(took);
        }
    }

    /// Sends `room-reset`: members continue from `position`, and the messages missed before it are lost.
    async fn reset(&mut self, position: Position, _anew: bool) -> Result<(), Unavailable> {
        self.signals.at(position);
        let reset = json!({ "room": &*self.name.name, "position": position.to_string() });
        if let Some(frame) = Frame::event(&self.name.namespace, "room-reset", &reset) {
            self.members.fan_out_at(&frame, &self.name.name, position).await;
        }
        Ok(())
    }
}
