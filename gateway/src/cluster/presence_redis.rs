//! [`super::presence`] over Redis: a hash per user, and one sorted set of the users within their grace.
//!
//! The sorted set only lists the users to check; each user's own key decides, atomically.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::{Pipeline, Script};

use super::{
    Unavailable,
    bus::Channel,
    ids::{Holding, Incarnation},
    presence::Saying,
    redis_link::{RedisLink, ScriptCall},
    reminders::{BATCH, remind, settle_due},
};

static ENTER: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/enter.lua")));
static LEAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/leave.lua")));
static SETTLE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/settle.lua")));

/// All users' presence.
#[derive(Clone)]
pub struct RedisPresence {
    link: Arc<RedisLink>,
    grace: Duration,
}

impl RedisPresence {
    pub(super) fn new(link: Arc<RedisLink>, grace: Duration) -> Self {
        Self { link, grace }
    }

    pub(super) async fn enter(
        &self,
        holdings: &[Holding],
        by: &Incarnation,
        saying: Saying,
    ) -> Result<(), Unavailable> {
        // A single session is a connect: it must not wait for a pool connection behind a pass over thousands.
        if let [one] = holdings {
            let ScriptCall { keys, arguments } = self.enter_call(one, by, saying);
            return self.link.script::<i64>(ENTER.prepare_invoke().key(keys).arg(arguments)).await.map(drop);
        }
        for batch in holdings.chunks(BATCH) {
            let calls = batch.iter().map(|holding| self.enter_call(holding, by, saying));
            let _: Vec<i64> = self.link.script_each(&ENTER, calls).await?;
        }
        Ok(())
    }

    pub(super) async fn leave(&self, holdings: &[Holding], by: &Incarnation) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        for batch in holdings.chunks(BATCH) {
            let calls = batch.iter().map(|Holding { user, session }| ScriptCall {
                keys: vec![keys.online(user), keys.leaving(user)],
                arguments: vec![session.to_string(), by.to_string(), self.grace.as_millis().to_string()],
            });
            let due: Vec<i64> = self.link.script_each(&LEAVE, calls).await?;
            let entries = batch.iter().zip(due).map(|(Holding { user, .. }, due)| (user.to_string(), due));
            remind(&self.link, &keys.all_leaving(), entries).await?;
        }
        Ok(())
    }

    pub(super) async fn settle(&self) -> Result<(), Unavailable> {
        let keys = &self.link.keys;
        let channel = keys.channel(&Channel::Presence);
        settle_due(&self.link, &keys.all_leaving(), &SETTLE, |user| {
            Some(ScriptCall { keys: vec![keys.leaving(user)], arguments: vec![channel.clone(), user.to_owned()] })
        })
        .await
    }

    pub(super) async fn online(&self, users: &[Arc<str>]) -> Result<Vec<bool>, Unavailable> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = Pipeline::new();
        for user in users {
            pipeline.cmd("EXISTS").arg(self.link.keys.online(user)).arg(self.link.keys.leaving(user));
        }
        let counts: Vec<i64> = self.link.bulk(&pipeline).await?;
        Ok(counts.into_iter().map(|count| count > 0).collect())
    }

    fn enter_call(&self, Holding { user, session }: &Holding, by: &Incarnation, saying: Saying) -> ScriptCall {
        let keys = &self.link.keys;
        ScriptCall {
            keys: vec![keys.online(user), keys.leaving(user)],
            arguments: vec![
                session.to_string(),
                by.to_string(),
                keys.channel(&Channel::Presence),
                user.to_string(),
                saying.as_str().to_owned(),
            ],
        }
    }
}
