//! The rooms that have members on this node.

use std::{collections::HashMap, sync::Arc};

use jackfield_cluster::{
    TIMEOUT, Unavailable,
    bus::{Bus, Channel},
    log::{Appended, Log},
    room_name::RoomName,
    wire::BusMessage,
};
use jackfield_engine::Frame;
use jackfield_shared::{lifecycle::Lifecycle, time::now, trace::Span};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{
    budget::Budget,
    join::{JoinError, Joined, Joining, Occupant},
    mailbox::{Input, Room},
    task,
};
use crate::metrics;

/// See the module. Cheap to clone.
pub(crate) struct Rooms<M>(Arc<Inner<M>>);

struct Inner<M> {
    by_name: Mutex<HashMap<RoomName, Room<M>>>,
    budget: Arc<Budget>,
    bus: Bus,
    log: Log,
    lifecycle: Lifecycle,
}

impl<M: Occupant> Rooms<M> {
    pub(crate) fn new(bus: Bus, log: Log, lifecycle: Lifecycle) -> Self {
        Self(Arc::new(Inner { by_name: Mutex::default(), budget: Arc::default(), bus, log, lifecycle }))
    }

    /// The room, if it has members on this node.
    pub(crate) fn find(&self, name: &RoomName) -> Option<Room<M>> {
        self.0.by_name.lock().get(name).cloned()
    }

    /// How many rooms have members on this node.
    pub(crate) fn len(&self) -> usize {
        self.0.by_name.lock().len()
    }

    /// Admits a socket, or sends it the next part of the messages that it missed.
    ///
    /// # Errors
    /// [`JoinError`]: the socket is not in the room, unless it was in it before and this was the first round.
    pub(crate) async fn join(&self, name: &RoomName, joining: Joining<M>) -> Result<(Room<M>, Joined), JoinError> {
        let socket = Arc::clone(joining.member.id());
        let stays = joining.again && joining.sent.is_none();
        let entering = async {
            loop {
                let room = self.room(name);
                let (done, answer) = oneshot::channel();
                // If the room's task has just ended, the next attempt starts a new one.
                if room.mailbox.send(Input::Join(joining.clone(), done)).await.is_ok()
                    && let Ok(joined) = answer.await
                {
                    return joined.map(|joined| (room, joined));
                }
                if self.0.lifecycle.stopping().is_cancelled() {
                    return Err(JoinError::Unavailable);
                }
            }
        };
        // Not limited by the event's deadline, which covers only waits for the back end: here the event may wait for
        // other sockets' joins.
        let entered = tokio::time::timeout(TIMEOUT, entering).await.unwrap_or(Err(JoinError::Unavailable));
        if entered.is_err() && !stays {
            // The task may still admit the socket after the timeout, or keeps the room open for its next round.
            self.leave(name, &socket).await;
        }
        entered
    }

    /// Removes a socket from the room. Does nothing if the socket is not in it.
    pub(crate) async fn leave(&self, name: &RoomName, socket: &Arc<str>) {
        if let Some(room) = self.find(name) {
            // Fails only if the task has ended, because the room is empty or the node stops.
            let _ = room.mailbox.send(Input::Leave(Arc::clone(socket))).await;
        }
    }

    /// Removes a socket without waiting for the room's task: for closed sockets, which get no frames anyway.
    pub(crate) fn leave_soon(&self, name: &RoomName, socket: Arc<str>) {
        let Some(room) = self.find(name) else { return };
        if let Err(mpsc::error::TrySendError::Full(input)) = room.mailbox.try_send(Input::Leave(socket)) {
            // Completes when the mailbox has space, or the task ends.
            self.0.lifecycle.spawn(async move {
                let _ = room.mailbox.send(input).await;
            });
        }
    }

    /// Passes a bus message to the room's task. If the mailbox is full, the task reads the log instead.
    pub(crate) fn receive(&self, name: &RoomName, message: BusMessage, span: Option<Span>) {
        match self.find(name) {
            Some(room) => {
                if room.mailbox.try_send(Input::Message(message, span)).is_err() {
                    room.signals.log.missed();
                }
            }
            // Its members left, but the unsubscribe was lost: repeat it.
            None => self.0.bus.unsubscribe(&[Channel::Room(name.clone())]),
        }
    }

    /// The bus may have lost messages of any room: makes all rooms read their logs.
    pub(crate) fn missed(&self) {
        for room in self.0.by_name.lock().values() {
            room.signals.log.missed();
        }
    }

    /// Stores a message and sends it to all members, on every node. `key` makes a retry idempotent.
    ///
    /// # Errors
    /// [`Unavailable`]: the message may or may not have been stored.
    pub(crate) async fn append(&self, room: &Room<M>, body: &str, key: Option<&str>) -> Result<Appended, Unavailable> {
        let stopwatch = &room.signals.stopwatch;
        let lap = stopwatch.begin(now());
        let appended = self.0.log.append(&room.name, body, key, room.signals.seen()).await;
        let stored = appended.as_ref().ok().filter(|appended| appended.new).map(|appended| appended.position);
        if stored.is_some() {
            room.signals.begun();
            metrics::STORED.add(1);
        }
        if let Some(took) = lap.and_then(|begun| stopwatch.stored(begun, stored)) {
            metrics::DELIVERY.record(took);
        }
        appended
    }

    /// Sends a packet, without storing it, to all members on every node, except the socket `except`.
    ///
    /// # Errors
    /// [`Unavailable`]: the packet may or may not have been sent.
    pub(crate) async fn broadcast(
        &self,
        room: &RoomName,
        frame: &Frame,
        except: Option<&Arc<str>>,
    ) -> Result<(), Unavailable> {
        let frame = frame.to_bus();
        let message = match except {
            Some(except) => BusMessage::FrameToOthers { except: Arc::clone(except), frame },
            None => BusMessage::Frame(frame),
        };
        self.0.bus.publish(&Channel::Room(room.clone()), message.encode()).await
    }

    /// The room. Starts its task if there is none.
    fn room(&self, name: &RoomName) -> Room<M> {
        let mut rooms = self.0.by_name.lock();
        if let Some(room) = rooms.get(name) {
            return room.clone();
        }
        let (room, inputs) = Room::new(name);
        rooms.insert(name.clone(), room.clone());
        self.0.lifecycle.spawn(task::run(self.clone(), name.clone(), Arc::clone(&room.signals), inputs));
        room
    }

    /// Removes an empty room, unless inputs are waiting. Unsubscribes first, so that the next task's subscribe comes
    /// after it.
    pub(super) fn close(&self, name: &RoomName, inputs: &mut mpsc::Receiver<Input<M>>) -> bool {
        let mut rooms = self.0.by_name.lock();
        if !inputs.is_empty() {
            return false;
        }
        inputs.close();
        self.0.bus.unsubscribe(&[Channel::Room(name.clone())]);
        rooms.remove(name);
        true
    }

    pub(super) fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(super) fn log(&self) -> &Log {
        &self.0.log
    }

    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.0.lifecycle
    }

    /// Memory budget for the messages of all rooms together.
    pub(super) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.0.budget)
    }
}

// A derived one would require `M: Clone`.
impl<M> Clone for Rooms<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
