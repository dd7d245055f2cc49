//! [`crate::idempotency`] over Redis: a hash per name that expires by itself.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use redis::{Script, Value};

use crate::{
    Unavailable,
    idempotency::{ATTEMPT, Attempt, Begun, KEPT_FOR},
    redis::link::RedisLink,
};

static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("begin.lua")));
static END: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("end.lua")));

/// All names.
#[derive(Clone)]
pub struct RedisIdempotency {
    link: Arc<RedisLink>,
}

impl RedisIdempotency {
    pub(crate) fn new(link: Arc<RedisLink>) -> Self {
        Self { link }
    }

    pub(crate) async fn begin(&self, attempt: Attempt<'_>) -> Result<Begun, Unavailable> {
        let mut call = BEGIN.key(self.link.keys.once(attempt.name));
        call.arg(attempt.fingerprint).arg(attempt.id);
        call.arg(ATTEMPT.as_secs() * 1_000).arg(KEPT_FOR.as_secs() * 1_000);
        let (state, value): (String, Value) = self.link.script(&call).await?;
        let text = |value| redis::from_redis_value::<Vec<u8>>(value).map_err(|_| Unavailable);
        Ok(match state.as_str() {
            "go" => Begun::Go(String::from_utf8(text(value)?).map_err(|_| Unavailable)?),
            "running" => Begun::Running,
            "other" => Begun::Other,
            _ => Begun::Done(text(value)?.into()),
        })
    }

    pub(crate) async fn done(&self, name: &str, reply: &Bytes) -> Result<(), Unavailable> {
        let mut call = END.key(self.link.keys.once(name));
        self.link.script::<i64>(call.arg("reply").arg(reply.as_ref())).await.map(drop)
    }

    pub(crate) async fn failed(&self, name: &str) -> Result<(), Unavailable> {
        let mut call = END.key(self.link.keys.once(name));
        self.link.script::<i64>(call.arg("until").arg("0")).await.map(drop)
    }

    pub(crate) async fn refused(&self, name: &str) -> Result<(), Unavailable> {
        self.link.command::<i64>(redis::cmd("DEL").arg(self.link.keys.once(name))).await.map(drop)
    }
}
