//! The one task of a room on this node: it admits and removes sockets and delivers messages, in order.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jackfield_shared::trace::within;
use serde_json::json;
use tokio::{sync::mpsc, time::Instant};

use super::{
    cursor::{Cursor, Live, Read},
    enter::Waiting,
    messages::object,
    recent::Recent,
    registry::{Input, Signals},
};
use crate::{
    client::Client,
    cluster::{
        Unavailable,
        log::{KEPT, Position, Range},
        notice::BusMessage,
        room_name::RoomName,
    },
    engine::{Frame, Full, record_write},
    node::Node,
    ops::metrics,
};

/// Members that are sent to before the task yields.
const BATCH: usize = 1_024;
/// Inputs that are taken at once: consecutive joins among them share their reads of the log.
const AT_ONCE: usize = 64;
/// Wait between two attempts to read a log that does not answer.
const RETRY: Duration = Duration::from_millis(200);

pub(super) struct Task {
    pub(super) node: Arc<Node>,
    pub(super) name: RoomName,
    pub(super) signals: Arc<Signals>,
    /// `None` until the first join has opened the room.
    pub(super) cursor: Option<Cursor>,
    /// Answers joins; every delivered message is added.
    pub(super) recent: Recent,
    pub(super) members: Vec<Arc<Client>>,
    pub(super) places: HashMap<Arc<str>, usize>,
    /// Sockets between two rounds: not members yet, they will ask for the next part of the missed messages.
    pub(super) guests: HashSet<Arc<str>>,
}

pub(super) async fn run(node: Arc<Node>, name: RoomName, signals: Arc<Signals>, mut inputs: mpsc::Receiver<Input>) {
    let stopping = node.lifecycle.stopping();
    let recent = Recent::new(node.rooms.budget());
    let (members, places, guests) = (Vec::new(), HashMap::new(), HashSet::new());
    let mut task = Task { node, name, signals, cursor: None, recent, members, places, guests };
    let mut arrived = Vec::new();
    // When to read a log again that did not answer.
    let mut again_at = Instant::now();
    loop {
        let behind = task.signals.missed.load(Ordering::Acquire);
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = task.signals.wake.notified() => {}
            () = tokio::time::sleep_until(again_at), if behind => {}
            () = task.recent.idle() => {}
            count = inputs.recv_many(&mut arrived, AT_ONCE) => match count {
                0 => return,
                _ => task.handle_all(&mut arrived).await,
            },
        }
        if task.signals.missed.load(Ordering::Acquire) && Instant::now() >= again_at && !task.catch_up().await {
            again_at = Instant::now() + RETRY;
        }
        let is_left = task.members.is_empty() && task.guests.is_empty() && inputs.is_empty();
        if is_left && task.node.rooms.close(&task.node, &task.name, &mut inputs) {
            return;
        }
    }
}

impl Task {
    pub(super) async fn handle(&mut self, input: Input) {
        match input {
            Input::Heard(notice, span) => within(span, self.hear(notice)).await,
            Input::Join(joining, done) => self.join_all(vec![Waiting { joining, done }]).await,
            Input::Leave(socket) => self.leave(&socket),
        }
    }

    async fn hear(&mut self, notice: BusMessage) {
        match notice {
            BusMessage::Message { position, body } => {
                let Some(cursor) = &mut self.cursor else { return };
                match cursor.live(position) {
                    Live::Deliver => {
                        self.signals.begun.store(true, Ordering::Release);
                        self.recent.push(position, &body);
                        self.deliver(position, &body).await;
                    }
                    Live::Seen => {}
                    // At once, as a part of this message's trace; if the log does not answer, `run` reads it again.
                    Live::Repair if !self.signals.missed.load(Ordering::Acquire) => {
                        self.catch_up().await;
                    }
                    Live::Repair => {}
                }
            }
            BusMessage::Frame(frame) => {
                if let Some(frame) = Frame::from_bus(frame) {
                    self.fan_out(&frame, |_| true).await;
                }
            }
            BusMessage::FrameToOthers { except, frame } => {
                if let Some(frame) = Frame::from_bus(frame) {
                    self.fan_out(&frame, |client| client.id != except).await;
                }
            }
            BusMessage::Joined { session, profile } => {
                let frame = self.about("user-joined", &profile);
                self.fan_out(&frame, |client| !client.is_of(&session)).await;
            }
            BusMessage::Left { profile } => {
                let frame = self.about("user-left", &profile);
                self.fan_out(&frame, |_| true).await;
            }
            // Not for rooms.
            BusMessage::Evicted(_)
            | BusMessage::Presence { .. }
            | BusMessage::Roster(_)
            | BusMessage::RosterWanted
            | BusMessage::ToSessions { .. }
            | BusMessage::End { .. }
            | BusMessage::EndReading(_) => {}
        }
    }

    /// Adds the room to a profile: `{userId, name}` becomes `{userId, name, room}`.
    fn about(&self, event: &str, profile: &str) -> Frame {
        let profile = profile.strip_suffix('}').unwrap_or("{\"userId\":null");
        // A room's name has no character that JSON would escape.
        let data = format!("{profile},\"room\":\"{}\"}}", self.name.name);
        Frame::event_json(&self.name.namespace, event, &data)
    }

    async fn deliver(&self, position: Position, body: &str) {
        let frame = Frame::event_json(&self.name.namespace, "new-message", &object(position, body));
        self.fan_out(&frame, |_| true).await;
        metrics::DELIVERED.add(1);
        let stopwatch = &self.signals.stopwatch;
        if stopwatch.is_running()
            && let Some(took) = stopwatch.delivered(position, std::time::Instant::now())
        {
            metrics::DELIVERY.record(took);
        }
    }

    async fn fan_out(&self, frame: &Frame, to: impl Fn(&Client) -> bool) {
        record_write(frame, self.members.iter().rev().filter(|client| to(client)).map(|client| client.outbox()));
        let mut batches = self.members.chunks(BATCH).peekable();
        while let Some(batch) = batches.next() {
            let mut sent = 0;
            for client in batch.iter().filter(|client| to(client)) {
                sent += 1;
                if client.outbox().send(frame) == Err(Full) {
                    client.too_slow();
                }
            }
            metrics::DELIVERIES.add(sent);
            if batches.peek().is_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Reads and delivers the missing messages. Returns false if the log does not answer: the signal stays set.
    pub(super) async fn catch_up(&mut self) -> bool {
        self.signals.missed.store(false, Ordering::Release);
        let caught_up = self.read_on().await.is_ok();
        if !caught_up {
            self.signals.missed.store(true, Ordering::Release);
        }
        caught_up
    }

    async fn read_on(&mut self) -> Result<(), Unavailable> {
        let Some(mut cursor) = self.cursor else { return Ok(()) };
        loop {
            let seen = cursor.at();
            let page = self.node.cluster.log.read(&self.name, Range::After(seen.number), KEPT, Some(seen)).await?;
            let read = cursor.read(&page);
            self.cursor = Some(cursor);
            self.signals.begun.store(page.end.number > 0, Ordering::Release);
            match read {
                Read::Deliver { lost, from, more } => {
                    if let Some(lost) = lost {
                        tracing::warn!(room = %self.name, "more was missed than the room keeps");
                        self.reset(lost).await;
                    }
                    let missed = &page.messages[from..];
                    metrics::REPAIRED.add_for(["room"], missed.len());
                    for stored in missed {
                        let position = Position { number: stored.number, ..page.end };
                        self.recent.push(position, &stored.body);
                        self.deliver(position, &stored.body).await;
                    }
                    if !more {
                        return Ok(());
                    }
                }
                Read::Anew { at } => {
                    tracing::warn!(room = %self.name, "the room's log began anew");
                    self.reset(at).await;
                }
            }
        }
    }

    /// Sends `room-reset`: members continue from `position`, and missed messages before it are lost.
    async fn reset(&self, position: Position) {
        metrics::RESETS.add_for(["room"], 1);
        let reset = json!({ "room": &*self.name.name, "position": position.to_string() });
        if let Some(frame) = Frame::event(&self.name.namespace, "room-reset", &reset) {
            self.fan_out(&frame, |_| true).await;
        }
    }

    pub(super) fn leave(&mut self, socket: &Arc<str>) {
        self.guests.remove(socket);
        let Some(place) = self.places.remove(socket) else { return };
        self.members.swap_remove(place);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(Arc::clone(&moved.id), place);
        }
    }
}
