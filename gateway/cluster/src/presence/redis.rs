//! [`crate::presence`] over Redis: a hash of sessions per scope and user, a hash of members per room, and one sorted
//! set of the users within their grace.
//!
//! The sorted set, one in each partition, only lists the users to check; a script decides by each user's own key,
//! atomically.

use std::sync::{Arc, LazyLock};

use futures_util::future::join_all;

use crate::{
    Unavailable,
    facts::{FactTerms, Kind, Kinds, outbox::Outbox},
    ids::Incarnation,
    partition::{Partition, PartitionSet},
    presence::{Announce, Ending, Entry, Members, PresenceTerms, Scope, Stay},
    redis::{
        link::RedisLink,
        script::{ScriptCall, Source},
    },
    room_name::RoomName,
};

macro_rules! script {
    ($name:literal) => {
        crate::redis::script::script!(
            "../redis/term.lua",
            "../log/common.lua",
            "../facts/common.lua",
            "common.lua",
            $name
        )
    };
}

static ENTER: LazyLock<Source> = script!("enter.lua");
static LEAVE: LazyLock<Source> = script!("leave.lua");
static SETTLE: LazyLock<Source> = script!("settle.lua");

/// Entries in one round trip.
const BATCH: usize = 256;
/// Reminders of one partition in one round trip.
const DUE_OF_ONE: usize = 16;

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
            let (partition, ScriptCall { keys, arguments }) = self.enter_call(one, by, announce);
            let mut call = self.link.call(&ENTER, &keys, arguments.len(), 512);
            call.arg(arguments);
            return Ok(vec![self.link.run(partition, &call).await?]);
        }
        let mut counts = Vec::with_capacity(entries.len());
        for batch in entries.chunks(BATCH) {
            let calls = batch.iter().map(|entry| self.enter_call(entry, by, announce));
            counts.extend(self.link.each::<usize, _>(&ENTER, calls).await?);
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
                let own = [session.to_string(), by.to_string(), grace.to_string(), reminder(scope, user)];
                self.call(scope, user, own)
            });
            let _: Vec<i64> = self.link.each(&LEAVE, calls).await?;
        }
        Ok(())
    }

    pub(crate) async fn settle(&self) -> Result<(), Unavailable> {
        // Each server by itself, so that one that is away does not keep the others' users from leaving.
        let settled = join_all(self.link.parts().into_iter().map(|part| self.settle_part(part))).await;
        settled.into_iter().collect()
    }

    async fn settle_part(&self, part: PartitionSet) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        let Some(first) = part.iter().next() else { return Ok(()) };
        loop {
            // By Redis's own clock, as the reminders are.
            let (seconds, micros): (u64, u64) = self.link.command(first, &redis::cmd("TIME")).await?;
            let now = seconds * 1_000 + micros / 1_000;
            let due = |partition| {
                let mut due = redis::cmd("ZRANGEBYSCORE");
                due.arg(keys.leaving(partition)).arg("-inf").arg(now).arg("LIMIT").arg(0).arg(DUE_OF_ONE);
                (partition, due)
            };
            let found: Vec<Vec<String>> = self.link.bulk(part.iter().map(due).collect()).await?;
            let (mut calls, mut unknown) = (Vec::new(), Vec::new());
            for (partition, reminders) in part.iter().zip(&found) {
                for reminder in reminders {
                    match scope_and_user(reminder) {
                        Some((scope, user)) => calls.push(self.call(&scope, user, [reminder.clone()])),
                        None => {
                            let mut remove = redis::cmd("ZREM");
                            remove.arg(keys.leaving(partition)).arg(reminder);
                            unknown.push((partition, remove));
                        }
                    }
                }
            }
            let _: Vec<i64> = self.link.bulk(unknown).await?;
            let _: Vec<i64> = self.link.each(&SETTLE, calls).await?;
            if found.iter().all(|of_one| of_one.len() < DUE_OF_ONE) {
                return Ok(());
            }
        }
    }

    pub(crate) async fn online(&self, users: &[Arc<str>]) -> Result<Vec<bool>, Unavailable> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let keys = &self.link.keys;
        let exists = |user: &Arc<str>| {
            let mut command = redis::cmd("EXISTS");
            command.arg(keys.stays(&Scope::Cluster, user)).arg(keys.grace(&Scope::Cluster, user));
            (Partition::of(user), command)
        };
        let counts: Vec<i64> = self.link.bulk(users.iter().map(exists).collect()).await?;
        Ok(counts.into_iter().map(|count| count > 0).collect())
    }

    pub(crate) async fn members(&self, room: &RoomName, max: usize) -> Result<Members, Unavailable> {
        let members = self.link.keys.members(room);
        let partition = Partition::of_room(room);
        let count: usize = self.link.command(partition, redis::cmd("HLEN").arg(&members)).await?;
        // A positive count returns distinct fields, in no guaranteed order.
        let pairs: Vec<(String, String)> =
            self.link.command(partition, redis::cmd("HRANDFIELD").arg(&members).arg(max).arg("WITHVALUES")).await?;
        Ok(Members { count, profiles: pairs.into_iter().map(|(_, profile)| profile).collect() })
    }

    fn enter_call(
        &self,
        Entry { stay: Stay { scope, user, session }, profile }: &Entry,
        by: &Incarnation,
        announce: Announce,
    ) -> (Partition, ScriptCall) {
        let announce = match announce {
            Announce::Yes => "1",
            Announce::No => "0",
        };
        let own = [session.to_string(), by.to_string(), announce.to_owned(), profile.to_string()];
        self.call(scope, user, own)
    }

    /// A call of one of the scripts, all of which begin with the same keys and arguments.
    fn call<const N: usize>(&self, scope: &Scope, user: &str, own: [String; N]) -> (Partition, ScriptCall) {
        let (keys, partition) = (&self.link.keys, scope.partition(user));
        let channel = match scope {
            Scope::Cluster => keys.presence(partition),
            Scope::Room(room) => keys.log(room).channel().to_string(),
        };
        let mut call = ScriptCall {
            keys: vec![keys.stays(scope, user), keys.grace(scope, user)],
            arguments: vec![channel, user.to_owned(), self.terms.announce_max.to_string()],
        };
        call.keys.push(match scope {
            Scope::Cluster => keys.stays(scope, user),
            Scope::Room(room) => keys.members(room),
        });
        call.keys.push(keys.leaving(partition));
        call.arguments.extend(own);
        let outbox = match scope {
            Scope::Cluster => &self.of_users,
            Scope::Room(_) => &self.of_rooms,
        };
        if let Some((settings, facts)) = outbox.of(keys, partition) {
            call.keys.extend(facts);
            call.arguments.push(settings.to_owned());
            if let Scope::Room(room) = scope {
                call.arguments.extend([room.namespace.to_string(), room.name.to_string()]);
            }
        }
        (partition, call)
    }
}

/// An entry of the sorted set: `<room, or -> <user>`.
fn reminder(scope: &Scope, user: &str) -> String {
    match scope {
        Scope::Cluster => format!("- {user}"),
        Scope::Room(room) => format!("{room} {user}"),
    }
}

/// The reverse of [`reminder`].
fn scope_and_user(reminder: &str) -> Option<(Scope, &str)> {
    let (scope, user) = reminder.split_once(' ')?;
    let scope = match scope {
        "-" => Scope::Cluster,
        room => Scope::Room(RoomName::from_text(room)?),
    };
    Some((scope, user))
}
