//! The rooms that have members on this node.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use jackfield_shared::trace::Span;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    budget::Budget,
    join::{JoinError, Joined, Joining},
    stopwatch::Stopwatch,
    task,
};
use crate::{
    cluster::{TIMEOUT, Unavailable, bus::Channel, log::Appended, notice::BusMessage, room_name::RoomName},
    engine::Frame,
    node::Node,
    ops::metrics,
};

/// Inputs that may wait for a room's task. Beyond that the task reads the log.
const MAILBOX: usize = 1_024;

/// A room with members here. Cheap to clone.
#[derive(Clone)]
pub struct Room {
    /// The room's name.
    pub name: RoomName,
    mailbox: mpsc::Sender<Input>,
    pub(super) signals: Arc<Signals>,
}

/// State that reaches a room's task even if its mailbox is full.
#[derive(Default)]
pub(super) struct Signals {
    /// Messages may have been missed: the task has to read the log.
    pub(super) missed: AtomicBool,
    pub(super) wake: Notify,
    /// Somebody has written to the room.
    pub(super) begun: AtomicBool,
    pub(super) stopwatch: Stopwatch,
}

/// The inputs of a room's task, handled in order.
pub(super) enum Input {
    Heard(BusMessage, Option<Span>),
    Join(Joining, oneshot::Sender<Result<Joined, JoinError>>),
    Leave(Arc<str>),
}

/// See the module.
#[derive(Default)]
pub struct Rooms {
    by_name: Mutex<HashMap<RoomName, Room>>,
    budget: Arc<Budget>,
}

impl Rooms {
    /// The room, if it has members here.
    #[must_use]
    pub fn find(&self, name: &RoomName) -> Option<Room> {
        self.by_name.lock().get(name).cloned()
    }

    /// How many rooms have members here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.lock().len()
    }

    /// Whether no room has members here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Admits a socket, or sends it one part of the messages that it missed.
    ///
    /// # Errors
    /// The socket is then not in the room, unless it was in it before and this was the first round.
    pub async fn join(&self, node: &Arc<Node>, name: &RoomName, joining: Joining) -> Result<(Room, Joined), JoinError> {
        let socket = Arc::clone(&joining.client.id);
        let stays = joining.again && joining.told.is_none();
        let entering = async {
            loop {
                let room = self.room(node, name);
                let (done, answer) = oneshot::channel();
                // If the room's task has just ended, the next attempt starts a new one.
                if room.mailbox.send(Input::Join(joining.clone(), done)).await.is_ok()
                    && let Ok(joined) = answer.await
                {
                    return joined.map(|joined| (room, joined));
                }
                if node.lifecycle.stopping().is_cancelled() {
                    return Err(JoinError::Unavailable);
                }
            }
        };
        // Not the event's allowance, which may be used up: waiting behind other sockets is not waiting for the back
        // end.
        let entered = tokio::time::timeout(TIMEOUT, entering).await.unwrap_or(Err(JoinError::Unavailable));
        if entered.is_err() && !stays {
            // The task may still admit it after the timeout, or holds the room open for its next round.
            self.leave(name, &socket).await;
        }
        entered
    }

    /// Removes a socket from the room. Does nothing if it is not in.
    pub async fn leave(&self, name: &RoomName, socket: &Arc<str>) {
        if let Some(room) = self.find(name) {
            // Fails only if the task has ended, because nobody is in the room or the node stops.
            let _ = room.mailbox.send(Input::Leave(Arc::clone(socket))).await;
        }
    }

    /// Removes a socket without waiting for the room's task: for closed sockets, to which nothing is sent anyway.
    pub(crate) fn leave_soon(&self, node: &Node, name: &RoomName, socket: Arc<str>) {
        let Some(room) = self.find(name) else { return };
        if let Err(mpsc::error::TrySendError::Full(input)) = room.mailbox.try_send(Input::Leave(socket)) {
            // Completes when the mailbox has space, or the task ends.
            node.lifecycle.spawn(async move {
                let _ = room.mailbox.send(input).await;
            });
        }
    }

    /// Passes a bus message to the room's task. If the mailbox is full, the task reads the log instead.
    pub(crate) fn hear(&self, node: &Node, name: &RoomName, notice: BusMessage, span: Option<Span>) {
        match self.find(name) {
            Some(room) => {
                if room.mailbox.try_send(Input::Heard(notice, span)).is_err() {
                    room.signals.missed();
                }
            }
            // Its members left, and the unsubscribe was lost.
            None => node.cluster.bus.unsubscribe(&[Channel::Room(name.clone())]),
        }
    }

    /// The bus may have missed messages, in any room.
    pub(crate) fn missed(&self) {
        for room in self.by_name.lock().values() {
            room.signals.missed();
        }
    }

    /// Memory budget for the messages of all rooms together.
    pub(super) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }

    fn room(&self, node: &Arc<Node>, name: &RoomName) -> Room {
        let mut rooms = self.by_name.lock();
        if let Some(room) = rooms.get(name) {
            return room.clone();
        }
        let (mailbox, inputs) = mpsc::channel(MAILBOX);
        let room = Room { name: name.clone(), mailbox, signals: Arc::default() };
        rooms.insert(name.clone(), room.clone());
        node.lifecycle.spawn(task::run(Arc::clone(node), name.clone(), Arc::clone(&room.signals), inputs));
        room
    }

    /// Removes a room that nobody is in, unless inputs are waiting. Unsubscribes first, so that the next task's
    /// subscribe comes after it.
    pub(super) fn close(&self, node: &Node, name: &RoomName, inputs: &mut mpsc::Receiver<Input>) -> bool {
        let mut rooms = self.by_name.lock();
        if !inputs.is_empty() {
            return false;
        }
        inputs.close();
        node.cluster.bus.unsubscribe(&[Channel::Room(name.clone())]);
        rooms.remove(name);
        true
    }
}

impl Signals {
    pub(super) fn missed(&self) {
        self.missed.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

impl Room {
    /// Whether it has messages, as far as its members here know.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.signals.begun.load(Ordering::Acquire)
    }

    /// Stores a message and sends it to all members, on every node. `key` makes a retry idempotent.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was stored.
    pub async fn append(&self, node: &Node, body: &str, key: Option<&str>) -> Result<Appended, Unavailable> {
        let stopwatch = &self.signals.stopwatch;
        let lap = stopwatch.begin(Instant::now());
        let appended = node.cluster.log.append(&self.name, body, key).await;
        let stored = appended.as_ref().ok().filter(|appended| appended.new).map(|appended| appended.position);
        metrics::STORED.add(usize::from(stored.is_some()));
        if let Some(took) = lap.and_then(|begun| stopwatch.stored(begun, stored)) {
            metrics::DELIVERY.record(took);
        }
        appended
    }

    /// Sends a packet, without storing it, to all members on every node, except the socket `except`.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was sent.
    pub async fn broadcast(&self, node: &Node, frame: &Frame, except: Option<&Arc<str>>) -> Result<(), Unavailable> {
        let frame = frame.to_bus();
        let notice = match except {
            Some(except) => BusMessage::FrameToOthers { except: Arc::clone(except), frame },
            None => BusMessage::Frame(frame),
        };
        node.cluster.bus.publish(&Channel::Room(self.name.clone()), notice.encode()).await
    }
}
