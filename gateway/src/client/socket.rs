//! One connection's place in one namespace: what the events see of who sent them.

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
        ids::{Holding, SessionId},
        notice::Notice,
        room_name::RoomName,
        room_presence::{Entry, Stay},
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
    /// Where.
    pub namespace: Arc<Namespace>,
    /// Who.
    pub identity: Identity,
    /// What the user may do.
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
    /// The socket is out of its namespace, and gets into no room any more.
    gone: bool,
    /// How often the socket came into a room.
    count: u64,
    /// Rooms of which the socket was told much lately, and when it may be told as much again; in or out of them.
    told_much: Vec<(Arc<str>, Instant)>,
}

/// Between a session's id and the number of a stay, in the id that stands for the stay.
const STAY: char = '~';

struct InRoom {
    room: Room,
    /// What stands for it in the cluster.
    stay: SessionId,
    typed_at: Option<Instant>,
}

/// Rooms that are remembered for having told the socket much.
const TOLD_MUCH: usize = 128;
/// Between two looks whether a client has read what it was sent.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A client that is told much has read it when no more than this waits for it.
const READ_BYTES: u64 = 16 * 1024;
/// A client that has not read a page after this time is too slow.
const READ_WITHIN: Duration = Duration::from_mins(1);
/// Between two `typing` that pass.
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

    /// This socket's place among the namespace's members.
    #[must_use]
    pub fn key(&self) -> MemberKey {
        self.key.load(Ordering::Acquire)
    }

    pub(super) fn joined(&self, key: MemberKey) {
        self.key.store(key, Ordering::Release);
    }

    /// The session that it belongs to, as ports are told of it.
    #[must_use]
    pub fn holding(&self) -> Holding {
        Holding { user: Arc::clone(&self.identity.user_id), session: self.session.clone() }
    }

    /// This socket's stay in a room, and how its user is shown there: the present one, or a new one. Every stay has an id
    /// of its own, so that the end of one, which may be late, never ends the next.
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
        Entry { stay: Stay { room, user: Arc::clone(&self.identity.user_id), session }, profile: profile.into() }
    }

    /// The room of this name, where the socket is in it.
    #[must_use]
    pub fn room(&self, name: &str) -> Option<Room> {
        self.rooms.lock().find(name).map(|joined| joined.room.clone())
    }

    /// How many rooms the socket is in.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.rooms.lock().rooms.len()
    }

    /// The socket is in a room, by this stay; false where it is out of its namespace, and has to be put out again.
    #[must_use]
    pub fn entered(&self, room: Room, stay: &Stay) -> bool {
        let mut rooms = self.rooms.lock();
        if !rooms.gone && rooms.find(&room.name.name).is_none() {
            rooms.rooms.push(InRoom { room, stay: stay.session.clone(), typed_at: None });
        }
        !rooms.gone
    }

    /// The socket leaves a room, where it is in it: the stay that is over.
    #[must_use]
    pub fn left(&self, name: &str) -> Option<Stay> {
        let mut rooms = self.rooms.lock();
        let place = rooms.rooms.iter().position(|joined| &*joined.room.name.name == name)?;
        let InRoom { room, stay, .. } = rooms.rooms.swap_remove(place);
        Some(self.entry_of(room.name, stay).stay)
    }

    /// The socket is out of its namespace: these stays are over, and it gets into no other room.
    #[must_use]
    pub fn take_rooms(&self) -> Vec<Stay> {
        let mut rooms = self.rooms.lock();
        rooms.gone = true;
        let stays = std::mem::take(&mut rooms.rooms).into_iter();
        stays.map(|joined| self.entry_of(joined.room.name, joined.stay).stay).collect()
    }

    /// The socket hears of these users from now on, and of no others, unless it is out of its namespace.
    pub fn watch(&self, users: Vec<Arc<str>>) {
        // Under the lock, so that an end at this moment comes after it and forgets it.
        let rooms = self.rooms.lock();
        if !rooms.gone {
            self.node.hub.watchers.watch(self.key(), users);
        }
    }

    /// Whether the socket is out of its namespace.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.rooms.lock().gone
    }

    /// Whether this stay is one of the socket's session.
    #[must_use]
    pub fn is_of(&self, stay: &SessionId) -> bool {
        stay.as_str().split(STAY).next() == Some(self.session.as_str())
    }

    /// Whether a second has passed since this was last true of the room.
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

    /// When the socket may be told much of this room again, where that was done lately.
    #[must_use]
    pub fn told_much(&self, room: &str) -> Option<Instant> {
        self.rooms.lock().told_much.iter().find(|(name, _)| **name == *room).map(|(_, again)| *again)
    }

    /// The socket was told much of this room, and may be told as much again at `again`.
    pub fn tell_much_from(&self, room: &Arc<str>, again: Instant, now: Instant) {
        let mut rooms = self.rooms.lock();
        rooms.told_much.retain(|(name, other)| name != room && *other > now);
        if rooms.told_much.len() == TOLD_MUCH {
            // The oldest.
            rooms.told_much.remove(0);
        }
        rooms.told_much.push((Arc::clone(room), again));
    }

    /// Waits until the client has read most of what was sent to it; false where it is gone or about to be closed, or too
    /// slow, and then closed.
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

    /// Closes the transport: the client comes back by itself.
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

    /// Sends a frame to everybody in this socket's namespace, on every node. It takes the way over the bus to this node's
    /// own members too, so that all hear one order.
    ///
    /// # Errors
    /// [`Unavailable`] when it is not known whether it was sent.
    pub async fn broadcast(&self, frame: &Frame) -> Result<(), Unavailable> {
        let channel = Channel::Namespace(Arc::clone(&self.namespace.name));
        self.node.cluster.bus.publish(&channel, Notice::Frame(frame.to_bus()).encode()).await
    }

    /// The user showed another token: the session lasts until the later end of the two, which is returned.
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
