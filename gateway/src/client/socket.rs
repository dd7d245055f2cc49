//! One connection's membership in one namespace: the sender of events, as their handlers see it.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use jackfield_shared::claims::Identity;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;

use super::Connection;
use crate::{
    cluster::{
        Unavailable,
        bus::Channel,
        ids::{SessionRef, SessionId},
        notice::BusMessage,
        room_name::RoomName,
        room_presence::{Entry, RoomStay},
    },
    engine::{Frame, Full, Outbox},
    event::Addressee,
    hub::{MemberKey, Namespace},
    limits::User,
    node::Node,
    room::Room,
};

/// See the module.
pub struct Client {
    /// Public: others see it, and it gives no power over the connection.
    pub id: Arc<str>,
    /// The namespace that it is in.
    pub namespace: Arc<Namespace>,
    /// The user.
    pub identity: Identity,
    /// The user's budgets.
    pub user: Arc<User>,
    /// The node it is on.
    pub node: Arc<Node>,
    outbox: Outbox,
    connection: Weak<Connection>,
    key: AtomicUsize,
    /// The session that it belongs to.
    pub session: SessionId,
    rooms: Mutex<InRooms>,
}

/// The rooms that a socket is in.
#[derive(Default)]
struct InRooms {
    rooms: Vec<InRoom>,
    /// The socket has left its namespace, and enters no room any more.
    gone: bool,
    /// Stays begun so far; numbers the stays' ids.
    count: u64,
    /// Rooms from which the socket recently got more than a page, and when it may again; kept after it leaves them.
    told_much: Vec<(Arc<str>, Instant)>,
}

/// Separates the session's id from the stay's number in the id of a stay.
const STAY: char = '~';

struct InRoom {
    room: Room,
    /// The id of the stay in the cluster.
    stay: SessionId,
    typed_at: Option<Instant>,
}

/// Most rooms that [`InRooms::told_much`] keeps.
const TOLD_MUCH: usize = 128;
/// Time between two checks whether a client has read its queue.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A page counts as read when at most this many bytes wait in the client's queue.
const READ_BYTES: u64 = 16 * 1024;
/// A client that has not read a page after this time is too slow.
const READ_WITHIN: Duration = Duration::from_mins(1);
/// Least time between two `typing` that pass.
const TYPING_PACE: Duration = Duration::from_secs(1);

impl Client {
    #[expect(clippy::too_many_arguments, reason = "one for each thing that a socket is made of")]
    pub(super) fn new(
        id: Arc<str>,
        session: SessionId,
        namespace: Arc<Namespace>,
        identity: Identity,
        user: Arc<User>,
        node: Arc<Node>,
        outbox: Outbox,
        connection: Weak<Connection>,
    ) -> Self {
        Self {
            id,
            namespace,
            identity,
            user,
            node,
            outbox,
            connection,
            key: AtomicUsize::new(MemberKey::MAX),
            session,
            rooms: Mutex::default(),
        }
    }

    /// The connection's queue.
    #[must_use]
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The other sockets of the same connection.
    #[must_use]
    pub fn siblings(&self) -> Vec<Arc<Client>> {
        let mut sockets = self.connection.upgrade().map(|connection| connection.sockets()).unwrap_or_default();
        sockets.retain(|socket| socket.id != self.id);
        sockets
    }

    /// This socket's key among the namespace's members.
    #[must_use]
    pub fn key(&self) -> MemberKey {
        self.key.load(Ordering::Acquire)
    }

    pub(super) fn joined(&self, key: MemberKey) {
        self.key.store(key, Ordering::Release);
    }

    /// The session that it belongs to, as the cluster's ports take it.
    #[must_use]
    pub fn holding(&self) -> SessionRef {
        SessionRef { user: Arc::clone(&self.identity.user_id), session: self.session.clone() }
    }

    /// This socket's stay in a room, with its user's profile: the current stay, or a new one. Every stay has its own
    /// id, so that a late end of one never ends the next.
    #[must_use]
    pub fn entry(&self, room: RoomName) -> Entry {
        let mut rooms = self.rooms.lock();
        let present = rooms.find(&room.name).map(|joined| joined.stay.clone());
        let session = present.unwrap_or_else(|| {
            rooms.count += 1;
            format!("{}{STAY}{}", self.session, rooms.count).as_str().into()
        });
        drop(rooms);
        self.entry_of(room, session)
    }

    /// The stays in all rooms that the socket is in.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let rooms = self.rooms.lock();
        let stays = rooms.rooms.iter().map(|joined| self.entry_of(joined.room.name.clone(), joined.stay.clone()));
        stays.collect()
    }

    fn entry_of(&self, room: RoomName, session: SessionId) -> Entry {
        let profile = json!({ "userId": self.identity.user_id, "name": self.identity.name }).to_string();
        Entry { stay: RoomStay { room, user: Arc::clone(&self.identity.user_id), session }, profile: profile.into() }
    }

    /// The room of this name, if the socket is in it.
    #[must_use]
    pub fn room(&self, name: &str) -> Option<Room> {
        self.rooms.lock().find(name).map(|joined| joined.room.clone())
    }

    /// How many rooms the socket is in.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.rooms.lock().rooms.len()
    }

    /// Records a stay in a room. False if the socket has left its namespace: the caller must then undo the join.
    #[must_use]
    pub fn entered(&self, room: Room, stay: &RoomStay) -> bool {
        let mut rooms = self.rooms.lock();
        if !rooms.gone && rooms.find(&room.name.name).is_none() {
            rooms.rooms.push(InRoom { room, stay: stay.session.clone(), typed_at: None });
        }
        !rooms.gone
    }

    /// Takes the socket out of a room. Returns the stay that ended, if it was in the room.
    #[must_use]
    pub fn left(&self, name: &str) -> Option<RoomStay> {
        let mut rooms = self.rooms.lock();
        let place = rooms.rooms.iter().position(|joined| &*joined.room.name.name == name)?;
        let InRoom { room, stay, .. } = rooms.rooms.swap_remove(place);
        Some(self.entry_of(room.name, stay).stay)
    }

    /// The socket has left its namespace: returns the stays that ended, and lets it enter no other room.
    #[must_use]
    pub fn take_rooms(&self) -> Vec<RoomStay> {
        let mut rooms = self.rooms.lock();
        rooms.gone = true;
        let stays = std::mem::take(&mut rooms.rooms).into_iter();
        stays.map(|joined| self.entry_of(joined.room.name, joined.stay).stay).collect()
    }

    /// Subscribes the socket to these users' presence, in place of any before, unless it has left its namespace.
    pub fn watch(&self, users: Vec<Arc<str>>) {
        // Under the lock, so that a concurrent leave comes after this and removes the subscription.
        let rooms = self.rooms.lock();
        if !rooms.gone {
            self.node.hub.watchers.watch(self.key(), users);
        }
    }

    /// Whether the socket has left its namespace.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.rooms.lock().gone
    }

    /// Whether this stay belongs to the socket's session.
    #[must_use]
    pub fn is_of(&self, stay: &SessionId) -> bool {
        stay.as_str().split(STAY).next() == Some(self.session.as_str())
    }

    /// Whether a `typing` to this room passes: at most one a second, and only if the socket is in the room.
    #[must_use]
    pub fn may_type(&self, room: &str, now: Instant) -> bool {
        let mut rooms = self.rooms.lock();
        let Some(joined) = rooms.find(room) else { return false };
        let pass = joined.typed_at.is_none_or(|at| now.duration_since(at) >= TYPING_PACE);
        if pass {
            joined.typed_at = Some(now);
        }
        pass
    }

    /// When the socket may get more than a page of this room again, if it did so recently.
    #[must_use]
    pub fn told_much(&self, room: &str) -> Option<Instant> {
        self.rooms.lock().told_much.iter().find(|(name, _)| **name == *room).map(|(_, again)| *again)
    }

    /// The socket got more than a page of this room, and may get as much again at `again`.
    pub fn tell_much_from(&self, room: &Arc<str>, again: Instant, now: Instant) {
        let mut rooms = self.rooms.lock();
        rooms.told_much.retain(|(name, other)| name != room && *other > now);
        if rooms.told_much.len() == TOLD_MUCH {
            // Drop the oldest.
            rooms.told_much.remove(0);
        }
        rooms.told_much.push((Arc::clone(room), again));
    }

    /// Waits until the client has read most of its queue. False if it has left, is about to be closed, or is too slow;
    /// in the last case it is closed.
    pub async fn has_read(&self) -> bool {
        let until = Instant::now() + READ_WITHIN;
        let is_leaving = || self.connection.upgrade().is_none_or(|connection| connection.is_let_go());
        while !self.is_gone() && !is_leaving() {
            if self.outbox.waiting() <= READ_BYTES {
                return true;
            }
            if Instant::now() >= until {
                self.too_slow();
                return false;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        false
    }

    /// Closes the transport: the client reconnects by itself.
    pub fn close(&self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.close();
        }
    }

    /// Sends a frame; a client that has no room for it is too slow and is closed.
    pub fn send(&self, frame: &Frame) {
        if self.outbox.send(frame) == Err(Full) {
            self.too_slow();
        }
    }

    /// Sends an event to this socket alone.
    pub fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) {
        if let Some(frame) = Frame::event(&self.namespace.name, event, data) {
            self.send(&frame);
        }
    }

    /// Sends a frame to everybody in this socket's namespace, on every node. It goes over the bus to this node's own
    /// members too, so that all members receive frames in one order.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was sent.
    pub async fn broadcast(&self, frame: &Frame) -> Result<(), Unavailable> {
        let channel = Channel::Namespace(Arc::clone(&self.namespace.name));
        self.node.cluster.bus.publish(&channel, BusMessage::Frame(frame.to_bus()).encode()).await
    }

    /// The user sent another token: extends the session to the later expiry of the two, which is returned.
    #[must_use]
    pub fn renew(&self, expires_at: u64) -> u64 {
        self.connection.upgrade().map_or(expires_at, |connection| connection.renew(expires_at))
    }

    /// Its queue is full: see [`Connection::too_slow`].
    pub fn too_slow(&self) {
        if let Some(connection) = self.connection.upgrade() {
            connection.too_slow();
        }
    }
}

impl Addressee for Client {
    fn namespace(&self) -> &str {
        &self.namespace.name
    }

    fn send(&self, frame: &Frame) {
        Client::send(self, frame);
    }
}

impl InRooms {
    fn find(&mut self, name: &str) -> Option<&mut InRoom> {
        self.rooms.iter_mut().find(|joined| &*joined.room.name.name == name)
    }
}
