//! The rooms that have members on this node.

use std::{collections::HashMap, sync::Arc};

use jackfield_cluster::{
    TIMEOUT, Unavailable,
    bus::{Bus, Channel},
    ids::SocketId,
    log::{Appended, Durability, Log},
    room_name::RoomName,
    wire::BusMessage,
};
use jackfield_engine::Frame;
use jackfield_shared::{lifecycle::Lifecycle, time::now, trace::Span};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::{
    back_end::BackEnd,
    budget::Budget,
    handle::Room,
    join::{JoinError, Joined, Joining, Occupant},
    recent::Recent,
    signals::Signals,
    worker::{Input, Worker},
};
use crate::{log_follower::LogFollower, metrics};

/// See the module. Cheap to clone.
pub(crate) struct Rooms<M>(Arc<Inner<M>>);

struct Inner<M> {
    by_name: Mutex<HashMap<RoomName, Room<M>>>,
    /// Rooms that keep messages for joins.
    keeping: Mutex<Vec<Room<M>>>,
    budget: Arc<Budget>,
    back_end: BackEnd,
    lifecycle: Lifecycle,
}

impl<M: Occupant> Rooms<M> {
    pub(crate) fn new(bus: Bus, log: Log, lifecycle: Lifecycle) -> Self {
        let (by_name, keeping, budget) = (Mutex::default(), Mutex::default(), Arc::default());
        Self(Arc::new(Inner { by_name, keeping, budget, back_end: BackEnd { bus, log }, lifecycle }))
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
        let member = Arc::clone(&joining.member);
        let stays = joining.again && joining.sent.is_none();
        let entering = async {
            loop {
                let room = self.room(name);
                let (done, answer) = oneshot::channel();
                if self.put(&room, Input::Join(joining.clone(), done)) {
                    let joined = answer.await.unwrap_or(Err(JoinError::Unavailable));
                    return joined.map(|joined| (room, joined));
                }
                // The room has just closed: opens it again.
            }
        };
        // Not limited by the event's deadline, which covers only waits for the back end: here the event may wait for
        // other sockets' joins.
        let entered = tokio::time::timeout(TIMEOUT, entering).await.unwrap_or(Err(JoinError::Unavailable));
        if entered.is_err() && !stays {
            // The worker may still admit the socket after the timeout, or keeps the room open for its next round.
            self.leave(name, &member);
        }
        entered
    }

    /// Removes a socket from the room. Does nothing if the socket is not in it. Never waits.
    pub(crate) fn leave(&self, name: &RoomName, socket: &Arc<M>) {
        if let Some(room) = self.find(name) {
            self.put(&room, Input::Leave(Arc::clone(socket)));
        }
    }

    /// Passes a bus message to the room, which delivers it at once if it can. Never waits.
    pub(crate) fn receive(&self, name: &RoomName, message: BusMessage, span: Option<Span>) {
        match self.find(name) {
            Some(room) => drop(self.put(&room, Input::Message(message, span))),
            // Its members left, but the unsubscribe was lost: repeat it.
            None => self.0.back_end.bus.unsubscribe(&[Channel::Room(name.clone())]),
        }
    }

    /// Stores a message and sends it to all members, on every node. `key` makes a retry idempotent. Answered once the
    /// message has reached `durable`; members may get it before.
    ///
    /// # Errors
    /// [`Unavailable`]: the message may or may not have been stored.
    pub(crate) async fn append(
        &self,
        room: &Room<M>,
        body: &str,
        key: Option<&str>,
        durable: Durability,
    ) -> Result<Appended, Unavailable> {
        let stopwatch = &room.signals().stopwatch;
        let lap = stopwatch.begin(now());
        let appended = self.0.back_end.log.append(room.name(), body, key, room.signals().seen(), durable).await;
        let stored = appended.as_ref().ok().filter(|appended| appended.new).map(|appended| appended.position);
        if let Some(position) = stored {
            room.signals().begun();
            room.signals().appended(position);
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
        except: Option<SocketId>,
    ) -> Result<(), Unavailable> {
        let frame = frame.to_bus();
        let message = match except {
            Some(except) => BusMessage::FrameToOthers { except, frame },
            None => BusMessage::Frame(frame),
        };
        self.0.back_end.bus.publish(&Channel::Room(room.clone()), message.encode()).await
    }

    /// The room. Opens it if it is not open.
    fn room(&self, name: &RoomName) -> Room<M> {
        let mut rooms = self.0.by_name.lock();
        if let Some(room) = rooms.get(name) {
            return room.clone();
        }
        let signals = Arc::<Signals>::default();
        let follower = LogFollower::new(self.0.back_end.log.clone(), name.clone());
        let recent = Recent::new(Arc::clone(&self.0.budget));
        let worker = Worker::new(follower, name.clone(), Arc::clone(&signals), recent);
        let room = Room::new(name.clone(), signals, worker);
        rooms.insert(name.clone(), room.clone());
        room
    }

    /// This room keeps messages for joins from now on: [`Rooms::forget`] will drop them.
    pub(super) fn keeps(&self, room: &Room<M>) {
        self.0.keeping.lock().push(room.clone());
    }

    /// The rooms that keep messages for joins; the list is empty then.
    pub(super) fn take_keeping(&self) -> Vec<Room<M>> {
        std::mem::take(&mut *self.0.keeping.lock())
    }

    pub(super) fn all(&self) -> Vec<Room<M>> {
        self.0.by_name.lock().values().cloned().collect()
    }

    pub(super) fn by_name(&self) -> MutexGuard<'_, HashMap<RoomName, Room<M>>> {
        self.0.by_name.lock()
    }

    pub(super) fn back_end(&self) -> &BackEnd {
        &self.0.back_end
    }

    pub(super) fn lifecycle(&self) -> &Lifecycle {
        &self.0.lifecycle
    }
}

// A derived one would require `M: Clone`.
impl<M> Clone for Rooms<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
