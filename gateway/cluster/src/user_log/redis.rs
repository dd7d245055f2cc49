//! [`crate::user_log`] over Redis: a stream per user, and a hash with its epoch and last number.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Unavailable,
    log::{Page, Position, Range},
    once::REMEMBERED,
    partition::Partition,
    redis::{
        link::RedisLink,
        script::{Call, ScriptCall, Source, script},
        streams::{Streams, Wanted, millis},
    },
    user_log::KEPT,
    wire::{UserEvent, envelope},
};

static SEND: LazyLock<Source> =
    script!("../redis/term.lua", "../log/common.lua", "../sessions/common.lua", "common.lua", "send.lua");

/// Up to this many users, a call for each does not wait for a pool connection.
const FEW: usize = 2;
/// Users in one round trip.
const BATCH: usize = 256;
/// Approximate bytes of events in one round trip.
const BATCH_BYTES: usize = 1_000_000;

/// All users' logs.
#[derive(Clone)]
pub struct RedisUserLog {
    link: Arc<RedisLink>,
    streams: Streams,
    kept_for: Duration,
}

impl RedisUserLog {
    pub(crate) fn new(link: Arc<RedisLink>, streams: Streams, kept_for: Duration) -> Self {
        Self { link, streams, kept_for }
    }

    pub(crate) async fn send(
        &self,
        users: &[Arc<str>],
        event: &UserEvent,
        once: Option<&str>,
    ) -> Result<Vec<usize>, Unavailable> {
        let (prefix, event) = (envelope::prefix(), event.encode());
        let mut counts = Vec::with_capacity(users.len());
        if users.len() <= FEW {
            for user in users {
                let key = once.map(|once| self.link.keys.sent_to_user(user, once));
                let keys = 4 + usize::from(key.is_some());
                let partition = Partition::of(user);
                let mut call = Call::new(self.link.script(&SEND), keys, 5, event.len() + 512);
                call.arg(&self.link.keys.user_log(user)[..]).arg(key).arg(self.link.keys.node_channels(partition));
                call.arg(millis(self.kept_for)).arg(prefix.as_ref()).arg(&event[..]);
                if once.is_some() {
                    call.arg(millis(REMEMBERED));
                }
                counts.push(self.link.run(partition, &call).await?);
            }
            return Ok(counts);
        }
        for batch in users.chunks((BATCH_BYTES / event.len()).clamp(1, BATCH)) {
            let calls = batch.iter().map(|user| {
                let (partition, key) = (Partition::of(user), once.map(|once| self.link.keys.sent_to_user(user, once)));
                let keys = self.link.keys.user_log(user).into_iter().chain(key).collect();
                let arguments = vec![
                    self.link.keys.node_channels(partition).into_bytes(),
                    millis(self.kept_for).to_string().into_bytes(),
                    prefix.to_vec(),
                    event.to_vec(),
                    millis(REMEMBERED).to_string().into_bytes(),
                ];
                (partition, ScriptCall { keys, arguments })
            });
            counts.extend(self.link.each::<usize, _>(&SEND, calls).await?);
        }
        Ok(counts)
    }

    pub(crate) async fn read(&self, user: &str, seen: Position) -> Result<Page<Option<UserEvent>>, Unavailable> {
        let [_, stream, head, _] = self.link.keys.user_log(user);
        let wanted =
            Wanted { range: Range::After(seen.number), count: KEPT, seen: Some(seen), kept_for: self.kept_for };
        let page = self.streams.read::<Bytes>(Partition::of(user), [&stream, &head], wanted).await?;
        Ok(page.with_bodies(|body| UserEvent::decode(&body)))
    }
}
