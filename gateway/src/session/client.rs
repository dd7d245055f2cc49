//! One socket: a connection's membership in one namespace, with the rooms that it is in.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use jackfield_cluster::{
    ids::{RecordId, SessionKey, SessionRef, SocketId},
    log::Position,
    presence::{Entry, Scope, Stay},
    room_name::RoomName,
    wire::Target,
};
use jackfield_engine::{Frame, Full, Outbox};
use jackfield_shared::claims::Identity;
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;
use serde_json::json;
use smallvec::SmallVec;

use super::{
    Addressee,
    recovery::{Recoverable, Tracked},
};
use crate::{
    hub::{Member, Namespace},
    limits::User,
    room::{Occupant, Room},
};

/// See the module.
pub(crate) struct Client {
    /// Other clients see it.
    pub(crate) id: SocketId,
    pub(crate) namespace: Arc<Namespace<Client>>,
    /// The user.
    pub(crate) identity: Arc<Identity>,
    /// The user's budgets.
    pub(crate) user: Arc<User>,
    /// The session that the socket belongs to.
    pub(crate) session: SessionKey,
    way_out: WayOut,
    rooms: Mutex<InRooms>,
}

/// Everything that a delivery touches, in one place.
struct WayOut {
    outbox: Outbox,
    /// Boxed, because most sockets have none.
    recovery: Option<Box<Recoverable>>,
}

/// The rooms that a socket is in.
#[derive(Default)]
struct InRooms {
    /// Most sockets are in one room, or in few.
    rooms: SmallVec<[InRoom; 1]>,
    /// The socket has left its namespace, and may enter no more rooms.
    gone: bool,
    /// Number of stays so far, for the stays' ids.
    count: u32,
    /// Boxed, because most sockets have none.
    paged: Option<Box<Paged>>,
}

/// Rooms of which a socket recently got more than a page, and when it may again; kept after it leaves them.
#[derive(Default)]
struct Paged {
    rooms: Vec<(Arc<str>, Instant)>,
}

struct InRoom {
    room: Room<Client>,
    /// The stay's number: its id in the cluster is made of the session's id and this.
    stay: u32,
    /// [`millis`] of the last `typing` that passed; 0 for none. A client may lose one `typing` exactly 49 days later.
    typed_at: u32,
}

/// Most rooms that [`Paged`] keeps.
const PAGED_MAX: usize = 128;
/// Shortest time between two `typing` events that pass.
const TYPING_PACE: Duration = Duration::from_secs(1);

impl Client {
    pub(super) fn new(
        id: SocketId,
        session: SessionKey,
        namespace: Arc<Namespace<Client>>,
        identity: Arc<Identity>,
        user: Arc<User>,
        outbox: Outbox,
    ) -> Self {
        Self {
            id,
            namespace,
            identity,
            user,
            session,
            way_out: WayOut { outbox, recovery: None },
            rooms: Mutex::default(),
        }
    }

    /// The client can be recovered. Stays up to this number are of a former connection.
    pub(super) fn recoverable(mut self, recovery: Box<Recoverable>, stays: u32) -> Self {
        self.way_out.recovery = Some(recovery);
        self.rooms.get_mut().count = stays;
        self
    }

    /// The client's record, if it can be recovered.
    pub(crate) fn record(&self) -> Option<RecordId> {
        self.way_out.recovery.as_ref().map(|recovery| recovery.record)
    }

    /// The positions up to which the socket was sent everything, if its client can be recovered.
    pub(super) fn tracked(&self) -> Option<MutexGuard<'_, Tracked>> {
        self.way_out.recovery.as_ref().map(|recovery| recovery.tracked.lock())
    }

    /// The stay begins, which the record has already.
    pub(crate) fn enters(&self, stay: u32, room: &Arc<str>) {
        if let Some(mut tracked) = self.tracked() {
            tracked.enters(stay, room);
        }
    }

    /// The stay has not begun.
    pub(crate) fn did_not_enter(&self, room: &str) {
        if let Some(mut tracked) = self.tracked() {
            tracked.left(room);
        }
    }

    /// Sends an event with which the socket has everything of its user's log up to this position.
    pub(super) fn try_send_user(&self, frame: &Frame, position: Position) -> Result<(), Full> {
        match self.tracked() {
            Some(mut tracked) => tracked.send_user(&self.way_out.outbox, frame, position),
            None => self.way_out.outbox.send(frame),
        }
    }

    /// The session that the socket belongs to, as the cluster's ports take it.
    pub(crate) fn session_ref(&self) -> SessionRef {
        SessionRef { user: Arc::clone(&self.identity.user_id), session: self.session.into() }
    }

    /// The number of this socket's stay in a room, and the stay with its user's profile: the current stay, or a new
    /// one. Every stay has its own id, so that a late release of one stay never ends the next.
    pub(crate) fn entry(&self, room: RoomName) -> (u32, Entry) {
        let mut rooms = self.rooms.lock();
        let present = rooms.find(&room.name).map(|joined| joined.stay);
        let number = present.unwrap_or_else(|| {
            rooms.count = rooms.count.wrapping_add(1);
            rooms.count
        });
        drop(rooms);
        (number, self.entry_of(room, number))
    }

    /// The stays in all rooms that the socket is in.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let rooms = self.rooms.lock();
        let stays = rooms.rooms.iter().map(|joined| self.entry_of(joined.room.name().clone(), joined.stay));
        stays.collect()
    }

    pub(super) fn entry_of(&self, room: RoomName, number: u32) -> Entry {
        let profile = json!({ "userId": self.identity.user_id, "name": self.identity.name }).to_string();
        Entry { stay: self.stay_of(room, number), profile: profile.into() }
    }

    fn stay_of(&self, room: RoomName, number: u32) -> Stay {
        let session = self.session.stay(number);
        Stay { scope: Scope::Room(room), user: Arc::clone(&self.identity.user_id), session }
    }

    /// The room of this name, if the socket is in it.
    pub(crate) fn room(&self, name: &str) -> Option<Room<Client>> {
        self.rooms.lock().find(name).map(|joined| joined.room.clone())
    }

    /// Whether any of these targets, of this socket's namespace, names it.
    pub(crate) fn is_any_of(&self, targets: &[Target]) -> bool {
        targets.iter().any(|target| match target {
            Target::User(user) => *user == self.identity.user_id,
            Target::Socket(id) => *id == self.id,
            Target::Room(name) => self.rooms.lock().find(name).is_some(),
        })
    }

    /// The names of the rooms that the socket is in.
    pub(crate) fn room_names(&self) -> Vec<Arc<str>> {
        self.rooms.lock().rooms.iter().map(|joined| Arc::clone(&joined.room.name().name)).collect()
    }

    /// How many rooms the socket is in.
    pub(crate) fn room_count(&self) -> usize {
        self.rooms.lock().rooms.len()
    }

    /// Records a stay in a room. False if the socket has left its namespace: then the caller must undo the join.
    pub(crate) fn entered(&self, room: Room<Client>, stay: u32) -> bool {
        let mut rooms = self.rooms.lock();
        if !rooms.gone && rooms.find(&room.name().name).is_none() {
            rooms.rooms.reserve_exact(1);
            rooms.rooms.push(InRoom { room, stay, typed_at: 0 });
        }
        !rooms.gone
    }

    /// Removes a room from the socket's list. Returns the stay that ended and its number, if the socket was in the room.
    pub(crate) fn left(&self, name: &str) -> Option<(u32, Stay)> {
        let mut rooms = self.rooms.lock();
        let index = rooms.rooms.iter().position(|joined| &*joined.room.name().name == name)?;
        if let Some(mut tracked) = self.tracked() {
            tracked.left(name);
        }
        let InRoom { room, stay, .. } = rooms.rooms.swap_remove(index);
        Some((stay, self.stay_of(room.name().clone(), stay)))
    }

    /// The socket has left its namespace: removes all rooms, refuses further ones, and returns the stays that ended.
    pub(crate) fn take_rooms(&self) -> Vec<Stay> {
        let mut rooms = self.rooms.lock();
        rooms.gone = true;
        let stays = std::mem::take(&mut rooms.rooms).into_iter();
        stays.map(|joined| self.stay_of(joined.room.name().clone(), joined.stay)).collect()
    }

    /// Runs `act` unless the socket has left its namespace. The socket cannot leave meanwhile.
    pub(crate) fn while_here(&self, act: impl FnOnce()) {
        let rooms = self.rooms.lock();
        if !rooms.gone {
            act();
        }
    }

    /// Whether a `typing` to this room passes: at most one per second, and only if the socket is in the room.
    pub(crate) fn may_type(&self, room: &str, now: Instant) -> bool {
        let mut rooms = self.rooms.lock();
        let Some(joined) = rooms.find(room) else { return false };
        let at = millis(now);
        let pass = joined.typed_at == 0 || u128::from(at.wrapping_sub(joined.typed_at)) >= TYPING_PACE.as_millis();
        if pass {
            joined.typed_at = at.max(1);
        }
        pass
    }

    /// When the socket may get more than a page of this room again, if it recently did.
    pub(crate) fn paged_until(&self, room: &str) -> Option<Instant> {
        let rooms = self.rooms.lock();
        rooms.paged.as_ref()?.rooms.iter().find(|(name, _)| **name == *room).map(|(_, again)| *again)
    }

    /// Records that the socket got more than a page of this room, and may get as much again at `again`.
    pub(crate) fn page_again_at(&self, room: &Arc<str>, again: Instant, now: Instant) {
        let mut rooms = self.rooms.lock();
        let paged = &mut rooms.paged.get_or_insert_default().rooms;
        paged.retain(|(name, other)| name != room && *other > now);
        if paged.len() == PAGED_MAX {
            // Drop the oldest.
            paged.remove(0);
        }
        paged.push((Arc::clone(room), again));
    }

    /// Sends an event to this socket alone.
    pub(crate) fn emit<T: Serialize + ?Sized>(&self, event: &str, data: &T) {
        if let Some(frame) = Frame::event(&self.namespace.name, event, data) {
            Member::send(self, &frame);
        }
    }
}

impl Member for Client {
    fn id(&self) -> SocketId {
        self.id
    }

    fn outbox(&self) -> &Outbox {
        &self.way_out.outbox
    }

    fn try_send(&self, frame: &Frame) -> Result<(), Full> {
        match self.tracked() {
            Some(mut tracked) => tracked.send(&self.way_out.outbox, frame),
            None => self.way_out.outbox.send(frame),
        }
    }

    fn try_send_at(&self, frame: &Frame, room: &str, position: Position) -> Result<(), Full> {
        match self.tracked() {
            Some(mut tracked) => tracked.send_at(&self.way_out.outbox, frame, room, position),
            None => self.way_out.outbox.send(frame),
        }
    }
}

impl Occupant for Client {
    fn session(&self) -> SessionKey {
        self.session
    }

    fn is_gone(&self) -> bool {
        self.rooms.lock().gone
    }

    fn is_any_of(&self, targets: &[Target]) -> bool {
        Client::is_any_of(self, targets)
    }
}

impl Addressee for Client {
    fn namespace(&self) -> &str {
        &self.namespace.name
    }

    fn send(&self, frame: &Frame) {
        Member::send(self, frame);
    }
}

/// Milliseconds from a fixed moment to this one, modulo 2^32. This one may be earlier in tests with a clock of their own.
fn millis(at: Instant) -> u32 {
    static FIXED: LazyLock<Instant> = LazyLock::new(Instant::now);
    let (after, before) = (at.saturating_duration_since(*FIXED), FIXED.saturating_duration_since(at));
    // One of the two is zero.
    (after.as_millis() as u32).wrapping_sub(before.as_nanos().div_ceil(1_000_000) as u32)
}

impl InRooms {
    fn find(&mut self, name: &str) -> Option<&mut InRoom> {
        self.rooms.iter_mut().find(|joined| &*joined.room.name().name == name)
    }
}
