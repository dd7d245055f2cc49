//! [`crate::sessions`] over Redis: a hash per user, and scripts that change it atomically.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::Cmd;

use crate::{
    Unavailable,
    facts::{FactTerms, Kind, Kinds, outbox::Outbox},
    ids::{Incarnation, SessionRef},
    partition::Partition,
    redis::{
        link::RedisLink,
        script::{ScriptCall, Source, script},
        streams::{Streams, millis},
    },
    sessions::{Ended, HeldSession, Live, Policy, Restored},
    wire::envelope,
};

static RESTORE: LazyLock<Source> =
    script!("../redis/term.lua", "../log/common.lua", "common.lua", "../facts/common.lua", "facts.lua", "restore.lua");
static END: LazyLock<Source> = script!("common.lua", "end.lua");
static RELEASE: LazyLock<Source> =
    script!("../redis/term.lua", "../log/common.lua", "../facts/common.lua", "facts.lua", "release.lua");

/// Calls of a script in one round trip.
const BATCH: usize = 256;
/// Users whose sessions are read in one round trip.
const USERS: usize = 1_000;

/// All users' sessions.
#[derive(Clone)]
pub struct RedisSessions {
    link: Arc<RedisLink>,
    streams: Streams,
    /// How long the record of an ended session is kept.
    recovery: Duration,
    outbox: Outbox,
}

impl RedisSessions {
    pub(crate) fn new(link: Arc<RedisLink>, streams: Streams, recovery: Duration, facts: &FactTerms) -> Self {
        let outbox = Outbox::new(facts, Kinds::of([Kind::SessionStarted, Kind::SessionEnded]));
        Self { link, streams, recovery, outbox }
    }

    pub(crate) async fn release(&self, ended: &[Ended], by: &Incarnation) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        for batch in ended.chunks(BATCH) {
            let calls = batch.iter().map(|Ended { session: SessionRef { user, session }, is_final, reason }| {
                let partition = Partition::of(user);
                let mut call = ScriptCall {
                    keys: vec![keys.sessions(user), keys.away(user)],
                    arguments: vec![
                        session.to_string(),
                        by.to_string(),
                        keys.records(user),
                        if *is_final { 0 } else { millis(self.recovery) }.to_string(),
                    ],
                };
                if let Some((settings, facts)) = self.outbox.of(keys, partition) {
                    call.keys.extend(facts);
                    call.arguments.extend([settings.to_owned(), user.to_string(), reason.as_str().to_owned()]);
                }
                (partition, call)
            });
            let _: Vec<i64> = self.link.each(&RELEASE, calls).await?;
        }
        Ok(())
    }

    pub(crate) async fn restore(
        &self,
        held: &[HeldSession],
        by: &Incarnation,
        policy: Policy,
    ) -> Result<Vec<Restored>, Unavailable> {
        let keys = &self.link.keys;
        let mut restored = Vec::with_capacity(held.len());
        for batch in held.chunks(BATCH) {
            let calls = batch.iter().map(|HeldSession { session, generation, seen, record }| {
                let [sessions, _, head, _] = keys.user_log(&session.user);
                let partition = Partition::of(&session.user);
                let of_record = record.map(|record| format!("{}{record}", keys.records(&session.user)));
                let of_record = of_record.unwrap_or_else(|| head.clone());
                let mut call = ScriptCall {
                    keys: vec![sessions, head, of_record],
                    arguments: vec![
                        session.session.to_string(),
                        by.to_string(),
                        policy.limit.to_string(),
                        keys.node_channels(partition),
                        generation.to_string(),
                        seen.epoch.to_string(),
                        seen.number.to_string(),
                        keys.records(&session.user),
                        record.map(|record| record.to_string()).unwrap_or_default(),
                    ],
                };
                if let Some((settings, facts)) = self.outbox.of(keys, partition) {
                    call.keys.extend(facts);
                    call.arguments.extend([settings.to_owned(), session.user.to_string()]);
                }
                (partition, call)
            });
            let outcomes: Vec<(bool, u64, u64)> = self.link.each(&RESTORE, calls).await?;
            for (held, (is_kept, epoch, number)) in batch.iter().zip(outcomes) {
                restored.push(match is_kept {
                    true => {
                        let empty = self.streams.empty(Partition::of(&held.session.user)).await?;
                        Restored::Kept { end: Streams::end(epoch, number, empty) }
                    }
                    false => Restored::Evicted,
                });
            }
        }
        Ok(restored)
    }

    pub(crate) async fn end(&self, user: &str, reason: &str) -> Result<usize, Unavailable> {
        let keys = &self.link.keys;
        let partition = Partition::of(user);
        let mut call = self.link.call(&END, &[keys.sessions(user)], 3, 256);
        call.arg(keys.node_channels(partition)).arg(envelope::prefix().as_ref()).arg(reason);
        self.link.run(partition, &call).await
    }

    pub(crate) async fn of(&self, users: &[Arc<str>]) -> Result<Vec<Vec<Live>>, Unavailable> {
        if let [user] = users {
            // A single user is one request's query, which must not wait for a pool connection.
            let entries: Vec<(String, String)> = self.link.command(Partition::of(user), &self.all_of(user)).await?;
            return Ok(vec![in_order(&entries)]);
        }
        let mut found = Vec::with_capacity(users.len());
        for batch in users.chunks(USERS) {
            let commands = batch.iter().map(|user| (Partition::of(user), self.all_of(user))).collect();
            let entries: Vec<Vec<(String, String)>> = self.link.bulk(commands).await?;
            found.extend(entries.iter().map(|entries| in_order(entries)));
        }
        Ok(found)
    }

    fn all_of(&self, user: &str) -> Cmd {
        redis::cmd("HGETALL").arg(self.link.keys.sessions(user)).to_owned()
    }
}

/// A user's sessions, oldest first.
fn in_order(entries: &[(String, String)]) -> Vec<Live> {
    let mut live: Vec<Live> = entries
        .iter()
        .filter_map(|(session, entry)| {
            let (generation, holder) = entry.split_once(' ')?;
            let generation = generation.parse().ok()?;
            let holder = holder.split(' ').next()?;
            Some(Live { session: session.as_str().into(), generation, holder: holder.into() })
        })
        .collect();
    live.sort_unstable_by_key(|live| live.generation);
    live
}
