//! [`super::room_presence`] over Redis: a hash of members per room, and a hash of sessions per room and user.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::Script;

use super::{
    Unavailable,
    bus::Channel,
    ids::Incarnation,
    presence::Saying,
    redis_link::{RedisLink, ScriptCall},
    reminders::{BATCH, remind, settle_due},
    room_name::RoomName,
    room_presence::{Ending, Entry, Members, Stay},
};

static ENTER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/enter_room.lua")));
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/leave_room.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/settle_room.lua")));

/// All rooms' members.
#[derive(Clone)]
pub struct RedisRoomPresence {
    link: Arc<RedisLink>,
    grace: Duration,
    announce_max: usize,
}

impl RedisRoomPresence {
    pub(super) fn new(link: Arc<RedisLink>, grace: Duration, announce_max: usize) -> Self {
        Self { link, grace, announce_max }
    }

    pub(super) async fn enter(
        &self,
        entries: &[Entry],
        by: &Incarnation,
        saying: Saying,
    ) -> Result<Vec<usize>, Unavailable> {
        // A single entry is a client's join: it must not wait for a pool connection behind a pass over thousands.
        if let [one] = entries {
            let ScriptCall { keys, arguments } = self.enter_call(one, by, saying);
            return Ok(vec![self.link.script(ENTER.prepare_invoke().key(keys).arg(arguments)).await?]);
        }
        let mut counts = Vec::with_capacity(entries.len());
        for batch in entries.chunks(BATCH) {
            let calls = batch.iter().map(|entry| self.enter_call(entry, by, saying));
            counts.extend(self.link.script_each::<usize>(&ENTER, calls).await?);
        }
        Ok(counts)
    }

    pub(super) async fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        let grace = match ending {
            Ending::Left => 0,
            Ending::Gone => self.grace.as_millis(),
        };
        for batch in stays.chunks(BATCH) {
            let calls = batch.iter().map(|Stay { room, user, session }| ScriptCall {
                keys: self.keys(room, user),
                arguments: vec![
                    session.to_string(),
                    by.to_string(),
                    grace.to_string(),
                    self.channel(room),
                    user.to_string(),
                    self.announce_max.to_string(),
                ],
            });
            let due: Vec<i64> = self.link.script_each(&LEAVE, calls).await?;
            let entries = batch.iter().zip(due).map(|(Stay { room, user, .. }, due)| (format!("{room} {user}"), due));
            remind(&self.link, &self.link.keys.all_parting(), entries).await?;
        }
        Ok(())
    }

    pub(super) async fn settle(&self) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        settle_due(&self.link, &keys.all_parting(), &SETTLE, |entry| {
            let (room, user) = entry.split_once(' ')?;
            let room = RoomName::from_text(room)?;
            Some(ScriptCall {
                keys: vec![keys.parting(&room, user), keys.members(&room)],
                arguments: vec![self.channel(&room), user.to_owned(), self.announce_max.to_string()],
            })
        })
        .await
    }

    pub(super) async fn members(&self, room: &RoomName, most: usize) -> Result<Members, Unavailable> {
        let members = self.link.keys.members(room);
        let count: usize = self.link.command(redis::cmd("HLEN").arg(&members)).await?;
        // A positive count returns distinct fields, in no guaranteed order.
        let pairs: Vec<(String, String)> =
            self.link.command(redis::cmd("HRANDFIELD").arg(&members).arg(most).arg("WITHVALUES")).await?;
        Ok(Members { count, profiles: pairs.into_iter().map(|(_, profile)| profile).collect() })
    }

    fn enter_call(
        &self,
        Entry { stay: Stay { room, user, session }, profile }: &Entry,
        by: &Incarnation,
        saying: Saying,
    ) -> ScriptCall {
        ScriptCall {
            keys: self.keys(room, user),
            arguments: vec![
                session.to_string(),
                by.to_string(),
                self.channel(room),
                user.to_string(),
                profile.to_string(),
                self.announce_max.to_string(),
                saying.as_str().to_owned(),
            ],
        }
    }

    fn keys(&self, room: &RoomName, user: &str) -> Vec<String> {
        let keys = &self.link.keys;
        vec![keys.stays(room, user), keys.parting(room, user), keys.members(room)]
    }

    fn channel(&self, room: &RoomName) -> String {
        self.link.keys.channel(&Channel::Room(room.clone()))
    }
}
