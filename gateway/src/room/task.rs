//! The one task of a room on this node: lets sockets in and out, and delivers, one after the other.

use std::{
    collections::HashMap,
    ops::Range as Span,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jackfield_shared::trace::within;
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    cursor::{Cursor, Live, Read},
    join::{Joined, Joining},
    messages::object,
    registry::{Input, Signals},
};
use crate::{
    client::Client,
    cluster::{
        Unavailable,
        bus::Channel,
        log::{KEPT, Page, Position, Range},
        notice::Notice,
        room_name::RoomName,
    },
    engine::{Frame, Full, record_write},
    node::Node,
    ops::metrics,
};

/// Members that are sent to before others get their turn.
const BATCH: usize = 1_024;
/// Between two tries to read a log that does not answer.
const RETRY: Duration = Duration::from_millis(200);

struct Task {
    node: Arc<Node>,
    name: RoomName,
    signals: Arc<Signals>,
    /// Nothing before the first member is in.
    cursor: Option<Cursor>,
    members: Vec<Arc<Client>>,
    places: HashMap<Arc<str>, usize>,
}

pub(super) async fn run(node: Arc<Node>, name: RoomName, signals: Arc<Signals>, mut inputs: mpsc::Receiver<Input>) {
    let stopping = node.lifecycle.stopping();
    let mut task = Task { node, name, signals, cursor: None, members: Vec::new(), places: HashMap::new() };
    // Where the log did not answer, when it is asked again.
    let mut again_at = Instant::now();
    loop {
        let behind = task.signals.missed.load(Ordering::Acquire);
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = task.signals.wake.notified() => {}
            () = tokio::time::sleep_until(again_at), if behind => {}
            input = inputs.recv() => match input {
                Some(input) => task.handle(input).await,
                None => return,
            },
        }
        if task.signals.missed.load(Ordering::Acquire) && Instant::now() >= again_at && !task.catch_up().await {
            again_at = Instant::now() + RETRY;
        }
        if task.members.is_empty() && inputs.is_empty() && task.node.rooms.close(&task.node, &task.name, &mut inputs) {
            return;
        }
    }
}

impl Task {
    async fn handle(&mut self, input: Input) {
        match input {
            Input::Heard(notice, span) => within(span, self.hear(notice)).await,
            Input::Join(joining, done) => self.join(joining, done).await,
            Input::Leave(socket) => self.leave(&socket),
        }
    }

    async fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Message { position, body } => {
                let Some(cursor) = &mut self.cursor else { return };
                match cursor.live(position) {
                    Live::Deliver => self.deliver(position, &body).await,
                    Live::Seen => {}
                    Live::Repair => self.signals.missed(),
                }
            }
            Notice::Frame(frame) => {
                if let Some(frame) = Frame::from_bus(frame) {
                    self.fan_out(&frame, |_| true).await;
                }
            }
            Notice::FrameToOthers { except, frame } => {
                if let Some(frame) = Frame::from_bus(frame) {
                    self.fan_out(&frame, |client| client.id != except).await;
                }
            }
            Notice::Joined { session, profile } => {
                let frame = self.about("user-joined", &profile);
                self.fan_out(&frame, |client| !client.is_of(&session)).await;
            }
            Notice::Left { profile } => {
                let frame = self.about("user-left", &profile);
                self.fan_out(&frame, |_| true).await;
            }
            // Not for rooms.
            Notice::Evicted(_)
            | Notice::Presence { .. }
            | Notice::Roster(_)
            | Notice::RosterWanted
            | Notice::ToSessions { .. }
            | Notice::End { .. }
            | Notice::EndReading(_) => {}
        }
    }

    /// `{userId, name, room}` of a profile, `{userId, name}`.
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

    /// Reads and delivers what is missing; false where the log does not answer: the signal stays.
    async fn catch_up(&mut self) -> bool {
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

    /// Tells the members that they go on from there, and that what came before cannot be had.
    async fn reset(&self, position: Position) {
        metrics::RESETS.add_for(["room"], 1);
        let reset = json!({ "room": &*self.name.name, "position": position.to_string() });
        if let Some(frame) = Frame::event(&self.name.namespace, "room-reset", &reset) {
            self.fan_out(&frame, |_| true).await;
        }
    }

    async fn join(&mut self, joining: Joining, done: oneshot::Sender<Result<Joined, Unavailable>>) {
        if done.is_closed() || joining.client.is_gone() {
            return;
        }
        let entered = self.enter(&joining).await;
        // Who does not wait any more is put out by whoever gave up waiting.
        let _ = done.send(entered);
    }

    async fn enter(&mut self, joining: &Joining) -> Result<Joined, Unavailable> {
        let (node, name) = (Arc::clone(&self.node), self.name.clone());
        let log = &node.cluster.log;
        if self.cursor.is_none() {
            node.cluster.bus.subscribe(&[Channel::Room(name.clone())]).await?;
            let page = log.read(&name, Range::Newest, 0, None).await?;
            self.cursor = Some(Cursor::new(page.end));
        }
        let mut end = self.cursor.map(Cursor::at).ok_or(Unavailable)?;
        let mut behind = self.signals.missed.load(Ordering::Acquire);
        loop {
            if behind || joining.is_ahead(end) {
                if !self.catch_up().await {
                    return Err(Unavailable);
                }
                end = self.cursor.map(Cursor::at).ok_or(Unavailable)?;
            }
            let (range, count) = joining.range(end);
            let page = log.read(&name, range, count, Some(end)).await?;
            if page.end.epoch != end.epoch {
                // The log began anew in between: those who are in are told first.
                behind = true;
                continue;
            }
            // What is newer than the cursor comes to everybody at once, live.
            let shown = 0..page.messages.partition_point(|message| message.number <= end.number);
            let recovered = joining.recovered(&page, end);
            return Ok(self.admit(joining, &page, shown, end, recovered));
        }
    }

    fn admit(
        &mut self,
        joining: &Joining,
        page: &Page,
        shown: Span<usize>,
        end: Position,
        recovered: Option<bool>,
    ) -> Joined {
        let client = &joining.client;
        if !self.places.contains_key(&client.id) {
            self.places.insert(Arc::clone(&client.id), self.members.len());
            self.members.push(Arc::clone(client));
        }
        if recovered == Some(false) {
            // What was asked for is not there: the newest, as if nothing had been asked for.
            joining.tell(&self.name.name, page, newest(&shown), end, recovered);
        } else {
            joining.tell(&self.name.name, page, shown, end, recovered);
        }
        Joined { position: end }
    }

    fn leave(&mut self, socket: &Arc<str>) {
        let Some(place) = self.places.remove(socket) else { return };
        self.members.swap_remove(place);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(Arc::clone(&moved.id), place);
        }
    }
}

/// The last fifty of a span.
fn newest(shown: &Span<usize>) -> Span<usize> {
    shown.end.saturating_sub(50).max(shown.start)..shown.end
}
