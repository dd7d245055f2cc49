//! [`crate::presence`] over Redis: a hash of sessions per scope and user, a hash of members per room, and one sorted
//! set of the users within their grace.
//!
//! The sorted set only lists the users to check; a script decides by each user's own key, atomically.

use std::sync::{Arc, LazyLock};

use redis::{Pipeline, Script};

use super::reminders::{BATCH, remind, settle_due};
use crate::{
    Unavailable,
    facts::{FactTerms, Kind, Kinds, outbox::Outbox},
    ids::Incarnation,
    presence::{Announce, Ending, Entry, Members, PresenceTerms, Scope, Stay},
    redis::link::{RedisLink, ScriptCall},
    room_name::RoomName,
};

macro_rules! script {
    ($name:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(include_str!("../facts/common.lua"), include_str!("common.lua"), include_str!($name)))
        })
    };
}

static ENTER: LazyLock<Script> = script!("enter.lua");
static LEAVE: LazyLock<Script> = script!("leave.lua");
static SETTLE: LazyLock<Script> = script!("settle.lua");

/// All stays.
#[derive(Clone)]
pub struct RedisPresence {
    link: Arc<RedisLink>,
    terms: PresenceTerms,
    of_users: Outbox,
    of_rooms: Outbox,
}

impl RedisPresence {
    pub(crate) fn new(link: Arc<RedisLink>, terms: PresenceTerms, facts: &FactTerms) -> Self {
        let of_rooms = [Kind::RoomOccupied, Kind::RoomVacated, Kind::RoomJoined, Kind::RoomLeft];
        Self {
            link,
            terms,
            of_users: Outbox::new(facts, Kinds::of([Kind::UserOnline, Kind::UserOffline])),
            of_rooms: Outbox::new(facts, Kinds::of(of_rooms)),
        }
    }

    pub(crate) async fn enter(
        &self,
        entries: &[Entry],
        by: &Incarnation,
        announce: Announce,
    ) -> Result<Vec<usize>, Unavailable> {
        // A single stay is a client's connect or join, which must not wait for a pool connection behind a batch over
        // thousands of stays.
        if let [one] = entries {
            let ScriptCall { keys, arguments } = self.enter_call(one, by, announce);
            return Ok(vec![self.link.script(ENTER.prepare_invoke().key(keys).arg(arguments)).await?]);
        }
        let mut counts = Vec::with_capacity(entries.len());
        for batch in entries.chunks(BATCH) {
            let calls = batch.iter().map(|entry| self.enter_call(entry, by, announce));
            counts.extend(self.link.script_each::<usize, _>(&ENTER, calls).await?);
        }
        Ok(counts)
    }

    pub(crate) async fn leave(&self, stays: &[Stay], by: &Incarnation, ending: Ending) -> Result<(), Unavailable> {
        let grace = match ending {
            Ending::Left => 0,
            Ending::Gone => self.terms.grace.as_millis(),
        };
        for batch in stays.chunks(BATCH) {
            let calls = batch.iter().map(|Stay { scope, user, session }| {
                let own = [session.to_string(), by.to_string(), grace.to_string()];
                self.call(scope, user, own)
            });
            let due: Vec<i64> = self.link.script_each(&LEAVE, calls).await?;
            let reminders = batch.iter().zip(due).map(|(Stay { scope, user, .. }, due)| (reminder(scope, user), due));
            remind(&self.link, &self.link.keys.leaving(), reminders).await?;
        }
        Ok(())
    }

    pub(crate) async fn settle(&self) -> Result<(), Unavailable> {
        settle_due(&self.link, &self.link.keys.leaving(), &SETTLE, |reminder| {
            let (scope, user) = reminder.split_once(' ')?;
            let scope = match scope {
                "-" => Scope::Cluster,
                room => Scope::Room(RoomName::from_text(room)?),
            };
            Some(self.call(&scope, user, []))
        })
        .await
    }

    pub(crate) async fn online(&self, users: &[Arc<str>]) -> Result<Vec<bool>, Unavailable> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &self.link.keys;
        let mut pipeline = Pipeline::new();
        for user in users {
            pipeline.cmd("EXISTS").arg(keys.stays(&Scope::Cluster, user)).arg(keys.grace(&Scope::Cluster, user));
        }
        let counts: Vec<i64> = self.link.bulk(&pipeline).await?;
        Ok(counts.into_iter().map(|count| count > 0).collect())
    }

    pub(crate) async fn members(&self, room: &RoomName, max: usize) -> Result<Members, Unavailable> {
        let members = self.link.keys.members(room);
        let count: usize = self.link.command(redis::cmd("HLEN").arg(&members)).await?;
        // A positive count returns distinct fields, in no guaranteed order.
        let pairs: Vec<(String, String)> =
            self.link.command(redis::cmd("HRANDFIELD").arg(&members).arg(max).arg("WITHVALUES")).await?;
        Ok(Members { count, profiles: pairs.into_iter().map(|(_, profile)| profile).collect() })
    }

    fn enter_call(
        &self,
        Entry { stay: Stay { scope, user, session }, profile }: &Entry,
        by: &Incarnation,
        announce: Announce,
    ) -> ScriptCall {
        let announce = match announce {
            Announce::Yes => "1",
            Announce::No => "0",
        };
        let own = [session.to_string(), by.to_string(), announce.to_owned(), profile.to_string()];
        self.call(scope, user, own)
    }

    /// A call of one of the scripts, all of which begin with the same keys and arguments.
    fn call<const N: usize>(&self, scope: &Scope, user: &str, own: [String; N]) -> ScriptCall {
        let keys = &self.link.keys;
        let mut call = ScriptCall {
            keys: vec![keys.stays(scope, user), keys.grace(scope, user)],
            arguments: vec![keys.channel(&scope.channel()), user.to_owned(), self.terms.announce_max.to_string()],
        };
        call.keys.push(match scope {
            Scope::Cluster => keys.stays(scope, user),
            Scope::Room(room) => keys.members(room),
        });
        call.arguments.extend(own);
        let facts = match scope {
            Scope::Cluster => self.of_users.of_user(keys, user),
            Scope::Room(room) => self.of_rooms.of_room(keys, room),
        };
        if let Some((settings, facts)) = facts {
            call.keys.extend(facts);
            call.arguments.push(settings.to_owned());
            if let Scope::Room(room) = scope {
                call.arguments.extend([room.namespace.to_string(), room.name.to_string()]);
            }
        }
        call
    }
}

/// An entry of the sorted set: `<room, or -> <user>`.
fn reminder(scope: &Scope, user: &str) -> String {
    match scope {
        Scope::Cluster => format!("- {user}"),
        Scope::Room(room) => format!("{room} {user}"),
    }
}
