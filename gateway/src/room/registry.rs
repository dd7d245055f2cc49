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
    cluster::{PATIENCE, Unavailable, bus::Channel, log::Appended, notice::Notice, room_name::RoomName},
    engine::Frame,
    node::Node,
    ops::metrics,
};

/// What a room's task may be behind; beyond that it reads the log.
const MAILBOX: usize = 1_024;

/// A room with members here. Cheap to clone.
#[derive(Clone)]
pub struct Room {
    /// Which.
    pub name: RoomName,
    mailbox: mpsc::Sender<Input>,
    pub(super) signals: Arc<Signals>,
}

/// What reaches a room's task however full its mailbox is.
#[derive(Default)]
pub(super) struct Signals {
    /// Something may have been missed: the log is to be read.
    pub(super) missed: AtomicBool,
    pub(super) wake: Notify,
    /// Somebody has written to the room.
    pub(super) begun: AtomicBool,
    pub(super) stopwatch: Stopwatch,
}

/// What a room's task does, one after the other.
pub(super) enum Input {
    Heard(Notice, Option<Span>),
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
    /// The room, where it has members here.
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

    /// Lets a socket in, or tells it a part of what it missed.
    ///
    /// # Errors
    /// The socket is not in the room then, unless it was in it before and this was the first round.
    pub async fn join(&self, node: &Arc<Node>, name: &RoomName, joining: Joining) -> Result<(Room, Joined), JoinError> {
        let socket = Arc::clone(&joining.client.id);
        let stays = joining.again && joining.told.is_none();
        let entering = async {
            loop {
                let room = self.room(node, name);
                let (done, answer) = oneshot::channel();
                // A room whose task has just ended is not found the next time.
                if room.mailbox.send(Input::Join(joining.clone(), done)).await.is_ok()
                    && let Ok(joined) = answer.await
                {
                    return joined.map(|joined| (room, joined));
                }
            }
        };
        // Not of the allowance, which may be used up: who waits behind many others does not wait for the back end.
        match tokio::time::timeout(PATIENCE, entering).await {
            Ok(entered) => entered,
            Err(_) => {
                // It may be let in later all the same: then it is put out again, unless it was in before.
                if !stays {
                    self.leave(name, &socket).await;
                }
                Err(JoinError::Unavailable)
            }
        }
    }

    /// Puts a socket out. Does nothing where it is not in.
    pub async fn leave(&self, name: &RoomName, socket: &Arc<str>) {
        if let Some(room) = self.find(name) {
            // The task ends only when nobody is in the room.
            let _ = room.mailbox.send(Input::Leave(Arc::clone(socket))).await;
        }
    }

    /// Puts a socket out without waiting for the room's task: for sockets that are gone, to which nothing is sent anyway.
    pub(crate) fn leave_soon(&self, node: &Node, name: &RoomName, socket: Arc<str>) {
        let Some(room) = self.find(name) else { return };
        if let Err(mpsc::error::TrySendError::Full(input)) = room.mailbox.try_send(Input::Leave(socket)) {
            // Ends when the task comes to it, or ends itself.
            node.lifecycle.spawn(async move {
                let _ = room.mailbox.send(input).await;
            });
        }
    }

    /// Hands over what came for a room. What there is no room for is read from the log.
    pub(crate) fn hear(&self, node: &Node, name: &RoomName, notice: Notice, span: Option<Span>) {
        match self.find(name) {
            Some(room) => {
                if room.mailbox.try_send(Input::Heard(notice, span)).is_err() {
                    room.signals.missed();
                }
            }
            // Its members left, and the end of the subscription got lost.
            None => node.cluster.bus.unsubscribe(&[Channel::Room(name.clone())]),
        }
    }

    /// The bus may have missed something, in any room.
    pub(crate) fn missed(&self) {
        for room in self.by_name.lock().values() {
            room.signals.missed();
        }
    }

    /// What all rooms together may keep of their messages in memory.
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

    /// Forgets a room that nobody is in, unless somebody is on the way in. The subscription is given up first, so that
    /// the next task's comes after it.
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
    /// Whether somebody has written to it, as far as its members here know.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.signals.begun.load(Ordering::Acquire)
    }

    /// Stores a message, which comes to everybody in the room, on every node. `key` makes a repetition harmless.
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

    /// Sends a packet that is not stored to everybody in the room, on every node, but the socket `except`.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was sent.
    pub async fn broadcast(&self, node: &Node, frame: &Frame, except: Option<&Arc<str>>) -> Result<(), Unavailable> {
        let frame = frame.to_bus();
        let notice = match except {
            Some(except) => Notice::FrameToOthers { except: Arc::clone(except), frame },
            None => Notice::Frame(frame),
        };
        node.cluster.bus.publish(&Channel::Room(self.name.clone()), notice.encode()).await
    }
}
