//! [`crate::sessions`] over Redis: a hash per user, and scripts that change it atomically.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::{Pipeline, Script};

use crate::{
    Unavailable,
    facts::{FactTerms, Kind, Kinds, outbox::Outbox},
    ids::{Incarnation, SessionRef},
    redis::{
        link::{RedisLink, ScriptCall},
        streams::{Streams, millis},
    },
    sessions::{Ended, HeldSession, Live, Policy, Restored},
    wire::envelope,
};

static RESTORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../log/common.lua"),
        include_str!("common.lua"),
        include_str!("../facts/common.lua"),
        include_str!("facts.lua"),
        include_str!("restore.lua")
    ))
});
static END: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("common.lua"), include_str!("end.lua"))));
static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("../facts/common.lua"), include_str!("facts.lua"), include_str!("release.lua")))
});

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
                let mut call = ScriptCall {
                    keys: vec![keys.sessions(user), keys.away(user)],
                    arguments: vec![
                        session.to_string(),
                        by.to_string(),
                        keys.records(user),
                        if *is_final { 0 } else { millis(self.recovery) }.to_string(),
                    ],
                };
                if let Some((settings, facts)) = self.outbox.of_user(keys, user) {
                    call.keys.extend(facts);
                    call.arguments.extend([settings.to_owned(), user.to_string(), reason.as_str().to_owned()]);
                }
                call
            });
            let _: Vec<i64> = self.link.script_each(&RELEASE, calls).await?;
        }
        Ok(())
    }

    pub(crate) async fn restore(
        &self,
        held: &[HeldSession],
        by: &Incarnation,
        policy: Policy,
    ) -> Result<Vec<Restored>, Unavailable> {
        let (keys, empty) = (&self.link.keys, self.streams.empty().await?);
        let mut restored = Vec::with_capacity(held.len());
        for batch in held.chunks(BATCH) {
            let calls = batch.iter().map(|HeldSession { session, generation, seen, record }| {
                let [sessions, _, head, _] = keys.user_log(&session.user);
                let mut call = ScriptCall {
                    keys: vec![sessions, head],
                    arguments: vec![
                        session.session.to_string(),
                        by.to_string(),
                        policy.limit.to_string(),
                        keys.node_channels(),
                        generation.to_string(),
                        seen.epoch.to_string(),
                        seen.number.to_string(),
                        keys.records(&session.user),
                        record.map(|record| record.to_string()).unwrap_or_default(),
                    ],
                };
                if let Some((settings, facts)) = self.outbox.of_user(keys, &session.user) {
                    call.keys.extend(facts);
                    call.arguments.extend([settings.to_owned(), session.user.to_string()]);
                }
                call
            });
            let outcomes: Vec<(bool, u64, u64)> = self.link.script_each(&RESTORE, calls).await?;
            restored.extend(outcomes.into_iter().map(|(is_kept, epoch, number)| match is_kept {
                true => Restored::Kept { end: Streams::end(epoch, number, empty) },
                false => Restored::Evicted,
            }));
        }
        Ok(restored)
    }

    pub(crate) async fn end(&self, user: &str, reason: &str) -> Result<usize, Unavailable> {
        let keys = &self.link.keys;
        let mut call = END.prepare_invoke();
        call.key(keys.sessions(user)).arg(keys.node_channels()).arg(envelope::prefix().as_ref()).arg(reason);
        self.link.script(&call).await
    }

    pub(crate) async fn of(&self, users: &[Arc<str>]) -> Result<Vec<Vec<Live>>, Unavailable> {
        if let [user] = users {
            // A single user is one request's query, which must not wait for a pool connection.
            let entries: Vec<(String, String)> =
                self.link.command(redis::cmd("HGETALL").arg(self.link.keys.sessions(user))).await?;
            return Ok(vec![in_order(&entries)]);
        }
        let mut found = Vec::with_capacity(users.len());
        for batch in users.chunks(USERS) {
            let mut pipeline = Pipeline::new();
            for user in batch {
                pipeline.cmd("HGETALL").arg(self.link.keys.sessions(user));
            }
            let entries: Vec<Vec<(String, String)>> = self.link.bulk(&pipeline).await?;
            found.extend(entries.iter().map(|entries| in_order(entries)));
        }
        Ok(found)
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
