//! [`super::room_presence`] for several nodes of one process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    Unavailable,
    bus::Channel,
    bus_memory::MemoryNetwork,
    ids::{Incarnation, SessionId},
    notice::Notice,
    presence::Saying,
    room_name::RoomName,
    room_presence::{Ending, Entry, Members, Stay},
};

/// All rooms' members.
#[derive(Clone)]
pub struct MemoryRoomPresence {
    network: MemoryNetwork,
    grace: Duration,
    announce_max: usize,
    rooms: Arc<Mutex<HashMap<RoomName, Room>>>,
}

type Room = BTreeMap<Arc<str>, Member>;

struct Member {
    profile: Arc<str>,
    sessions: HashMap<SessionId, Incarnation>,
    left_at: Option<Instant>,
}

impl MemoryRoomPresence {
    pub(super) fn new(network: MemoryNetwork, grace: Duration, announce_max: usize) -> Self {
        Self { network, grace, announce_max, rooms: Arc::default() }
    }

    pub(super) fn enter(&self, entries: &[Entry], by: &Incarnation, saying: Saying) -> Result<Vec<usize>, Unavailable> {
        let mut rooms = self.rooms.lock();
        let counts = entries.iter().map(|Entry { stay: Stay { room, user, session }, profile }| {
            let members = rooms.entry(room.clone()).or_default();
            let new = !members.contains_key(user);
            let member = members.entry(Arc::clone(user)).or_insert_with(|| Member {
                profile: Arc::clone(profile),
                sessions: HashMap::new(),
                left_at: None,
            });
            member.left_at = None;
            member.sessions.insert(session.clone(), by.clone());
            if new && saying == Saying::Aloud {
                let joined = Notice::Joined { session: session.clone(), profile: Arc::clone(profile) };
                self.announce(room, members.len(), &joined);
            }
            members.len()
        });
        Ok(counts.collect())
    }

    pub(super) fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        let mut rooms = self.rooms.lock();
        for Stay { room, user, session } in stays {
            let Some(members) = rooms.get_mut(room) else { continue };
            let Some(member) = members.get_mut(user) else { continue };
            if member.sessions.get(session) != Some(by) {
                continue;
            }
            member.sessions.remove(session);
            if member.sessions.is_empty() {
                match ending {
                    Ending::Gone => member.left_at = Some(Instant::now() + self.grace),
                    Ending::Left => self.remove(room, members, user),
                }
            }
        }
        rooms.retain(|_, members| !members.is_empty());
        Ok(())
    }

    pub(super) fn settle(&self) -> Result<(), Unavailable> {
        let now = Instant::now();
        let mut rooms = self.rooms.lock();
        for (room, members) in rooms.iter_mut() {
            let over = members.iter().filter(|(_, member)| member.left_at.is_some_and(|at| at <= now));
            let over: Vec<Arc<str>> = over.map(|(user, _)| Arc::clone(user)).collect();
            for user in over {
                self.remove(room, members, &user);
            }
        }
        rooms.retain(|_, members| !members.is_empty());
        Ok(())
    }

    pub(super) fn members(&self, room: &RoomName, most: usize) -> Result<Members, Unavailable> {
        let rooms = self.rooms.lock();
        let Some(members) = rooms.get(room) else { return Ok(Members { count: 0, profiles: Vec::new() }) };
        let profiles = members.values().take(most).map(|member| member.profile.to_string()).collect();
        Ok(Members { count: members.len(), profiles })
    }

    fn remove(&self, room: &RoomName, members: &mut Room, user: &Arc<str>) {
        let before = members.len();
        if let Some(member) = members.remove(user) {
            self.announce(room, before, &Notice::Left { profile: member.profile });
        }
    }

    fn announce(&self, room: &RoomName, members: usize, notice: &Notice) {
        if members <= self.announce_max {
            self.network.publish(&Channel::Room(room.clone()), &notice.encode());
        }
    }
}
