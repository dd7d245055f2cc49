//! The one task of a room on this node: it admits and removes sockets and delivers messages, in order.

use std::{collections::HashSet, sync::Arc};

use jackfield_cluster::{Unavailable, log::Position, room_name::RoomName, wire::BusMessage};
use jackfield_engine::Frame;
use jackfield_shared::{time::now, trace::within};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    enter::Waiting,
    join::Occupant,
    mailbox::{Input, Signals},
    messages::object,
    recent::Recent,
    registry::Rooms,
};
use crate::{
    hub::Group,
    log_follower::{LogFollower, Sink},
    metrics,
};

/// Most inputs that are taken at once: consecutive joins among them share their reads of the log.
const AT_ONCE: usize = 64;

pub(super) struct Task<M> {
    pub(super) rooms: Rooms<M>,
    pub(super) follower: LogFollower,
    pub(super) local: LocalRoom<M>,
    /// Sockets between two rounds of their join: they keep the room open, but are not members yet.
    pub(super) pending: HashSet<Arc<str>>,
}

/// The room on this node: the sink of its log's messages.
pub(super) struct LocalRoom<M> {
    pub(super) name: RoomName,
    pub(super) signals: Arc<Signals>,
    pub(super) members: Group<M>,
    /// Answers joins; every delivered message is added.
    pub(super) recent: Recent,
}

pub(super) async fn run<M: Occupant>(
    rooms: Rooms<M>,
    name: RoomName,
    signals: Arc<Signals>,
    mut inputs: mpsc::Receiver<Input<M>>,
) {
    let stopping = rooms.lifecycle().stopping();
    let follower = LogFollower::new(rooms.log().clone(), name.clone());
    let local = LocalRoom { name, signals, members: Group::default(), recent: Recent::new(rooms.budget()) };
    let mut task = Task { rooms, follower, local, pending: HashSet::new() };
    let mut arrived = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = task.follower.behind(&task.local.signals.log) => drop(task.repair().await),
            () = task.local.recent.idle() => {}
            count = inputs.recv_many(&mut arrived, AT_ONCE) => match count {
                0 => return,
                _ => task.handle_all(&mut arrived).await,
            },
        }
        let is_unused = task.local.members.is_empty() && task.pending.is_empty() && inputs.is_empty();
        if is_unused && task.rooms.close(&task.local.name, &mut inputs) {
            return;
        }
    }
}

impl<M: Occupant> Task<M> {
    /// Handles the inputs in order, and consecutive joins together.
    async fn handle_all(&mut self, arrived: &mut Vec<Input<M>>) {
        let mut together = Vec::new();
        for input in arrived.drain(..) {
            if let Input::Join(joining, done) = input {
                together.push(Waiting { joining, done });
                continue;
            }
            self.join_all(std::mem::take(&mut together)).await;
            match input {
                Input::Message(message, span) => within(span, self.receive(message)).await,
                Input::Leave(socket) => self.leave(&socket),
                Input::Join(..) => {}
            }
        }
        self.join_all(together).await;
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
                    local.members.fan_out_to(&frame, |member| *member.id() != except).await;
                }
            }
            BusMessage::Arrived { session, about, .. } => {
                let frame = local.about("user-joined", &about);
                local.members.fan_out_to(&frame, |member| !member.is_of(&session)).await;
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

    pub(super) fn leave(&mut self, socket: &Arc<str>) {
        self.pending.remove(socket);
        self.local.members.leave(socket);
    }
}

impl<M: Occupant> LocalRoom<M> {
    /// Adds the room to a profile: `{userId, name}` becomes `{userId, name, room}`.
    fn about(&self, event: &str, profile: &str) -> Frame {
        let profile = profile.strip_suffix('}').unwrap_or("{\"userId\":null");
        // A room's name has no character that JSON would escape.
        let data = format!("{profile},\"room\":\"{}\"}}", self.name.name);
        Frame::event_json(&self.name.namespace, event, &data)
    }
}

impl<M: Occupant> Sink for LocalRoom<M> {
    const KIND: &'static str = "room";

    async fn deliver(&mut self, position: Position, body: &Arc<str>) {
        self.signals.at(position);
        self.recent.push(position, body);
        let frame = Frame::event_json(&self.name.namespace, "new-message", &object(position, body));
        self.members.fan_out(&frame).await;
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
            self.members.fan_out(&frame).await;
        }
        Ok(())
    }
}
