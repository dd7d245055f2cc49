//! [`crate::inbox`] over Redis: a script for each operation, with a common beginning.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use jackfield_shared::time::now_rfc3339;
use redis::FromRedisValue;

use crate::{
    Unavailable,
    ids::{NodeId, SessionRef},
    inbox::{Added, Changed, Keep, NotificationId, Page, Posted, REMEMBERED, Stored},
    partition::Partition,
    redis::{
        link::RedisLink,
        script::{ScriptCall, Source},
    },
};

macro_rules! script {
    ($file:literal) => {
        crate::redis::script::script!(
            "../redis/term.lua",
            "../log/common.lua",
            "../sessions/common.lua",
            "../user_log/common.lua",
            "common.lua",
            $file
        )
    };
}

static ADD: LazyLock<Source> = script!("add.lua");
static DELETE: LazyLock<Source> = script!("delete.lua");
static LIST: LazyLock<Source> = script!("list.lua");
static READ: LazyLock<Source> = script!("read.lua");
static PUSH_COUNT: LazyLock<Source> = script!("push_count.lua");

/// Calls of a script in one round trip.
const BATCH: usize = 256;
/// Approximate bytes of notifications in one round trip.
const BATCH_BYTES: usize = 1_000_000;

/// All users' inboxes.
#[derive(Clone)]
pub struct RedisInbox {
    link: Arc<RedisLink>,
    keep: Keep,
    /// How long a change is kept in the user's log.
    log_kept_for: Duration,
}

impl RedisInbox {
    pub(crate) fn new(link: Arc<RedisLink>, keep: Keep, log_kept_for: Duration) -> Self {
        Self { link, keep, log_kept_for }
    }

    pub(crate) async fn add(&self, user: &Arc<str>, posted: &Posted) -> Result<Added, Unavailable> {
        self.one(&ADD, user, self.adding(user, posted)).await.map(added)
    }

    pub(crate) async fn add_many(&self, users: &[Arc<str>], posted: &Posted) -> Result<Vec<Added>, Unavailable> {
        let size = (BATCH_BYTES / posted.body.len().max(1)).clamp(1, BATCH);
        let mut all = Vec::with_capacity(users.len());
        for batch in users.chunks(size) {
            let calls = batch.iter().map(|user| (Partition::of(user), self.adding(user, posted)));
            all.extend(self.link.each(&ADD, calls).await?.into_iter().map(added));
        }
        Ok(all)
    }

    pub(crate) async fn mark_read(&self, user: &str, id: Option<NotificationId>) -> Result<Changed, Unavailable> {
        let wanted = id.map(|id| id.to_string()).unwrap_or_default();
        let call = self.call(user, &now_rfc3339(), [wanted]);
        self.one(&READ, user, call).await.map(changed)
    }

    pub(crate) async fn delete(&self, user: &str, id: NotificationId) -> Result<Changed, Unavailable> {
        let remembered = REMEMBERED.as_millis().to_string();
        let call = self.call(user, &now_rfc3339(), [id.to_string(), remembered]);
        self.one(&DELETE, user, call).await.map(changed)
    }

    pub(crate) async fn list(
        &self,
        user: &str,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        let before = before.map(|id| id.to_string()).unwrap_or_default();
        let call = self.call(user, &now_rfc3339(), [before, limit.to_string()]);
        let (unread, more, found): (u64, bool, Vec<(bool, String)>) = self.one(&LIST, user, call).await?;
        let notifications = found.into_iter().filter_map(|(read, stored)| {
            let (at, body) = stored.split_once(' ')?;
            Some(Stored { body: body.into(), at: at.into(), read })
        });
        Ok(Page { notifications: notifications.collect(), unread, more })
    }

    pub(crate) async fn push_count(&self, sessions: &[SessionRef], node: &NodeId) -> Result<(), Unavailable> {
        let at = now_rfc3339();
        let call = |one: &SessionRef| self.call(&one.user, &at, [one.session.to_string(), node.to_string()]);
        if let [one] = sessions {
            return self.one::<u64>(&PUSH_COUNT, &one.user, call(one)).await.map(drop);
        }
        for batch in sessions.chunks(BATCH) {
            let calls = batch.iter().map(|one| (Partition::of(&one.user), call(one)));
            let _: Vec<u64> = self.link.each(&PUSH_COUNT, calls).await?;
        }
        Ok(())
    }

    fn adding(&self, user: &str, posted: &Posted) -> ScriptCall {
        self.call(user, &posted.at, [posted.id.to_string(), posted.body.to_string()])
    }

    fn call<const N: usize>(&self, user: &str, at: &str, arguments: [String; N]) -> ScriptCall {
        let keys = &self.link.keys;
        let Keep { max, age } = self.keep;
        let mut all = vec![
            keys.node_channels(Partition::of(user)),
            max.to_string(),
            age.as_millis().to_string(),
            at.to_owned(),
            self.log_kept_for.as_millis().to_string(),
        ];
        all.extend(arguments);
        ScriptCall { keys: keys.inbox(user).into(), arguments: all }
    }

    async fn one<T: FromRedisValue>(&self, source: &Source, user: &str, call: ScriptCall) -> Result<T, Unavailable> {
        let bytes = call.arguments.iter().map(String::len).sum::<usize>() + 512;
        let mut prepared = self.link.call(source, &call.keys, call.arguments.len(), bytes);
        prepared.arg(call.arguments);
        self.link.run(Partition::of(user), &prepared).await
    }
}

fn added((new, unread, delivered): (bool, u64, usize)) -> Added {
    Added { new, unread, delivered }
}

fn changed((found, unread): (bool, u64)) -> Changed {
    Changed { found, unread }
}
