//! [`crate::idempotency`] over Redis: a hash per name that expires by itself.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use redis::Value;

use crate::{
    Unavailable,
    idempotency::{ATTEMPT, Attempt, Begun, KEPT_FOR},
    partition::Partition,
    redis::{
        link::RedisLink,
        script::{Call, Source, script},
    },
};

static BEGIN: LazyLock<Source> = script!("begin.lua");
static END: LazyLock<Source> = script!("end.lua");

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
        let mut call = self.call(&BEGIN, attempt.name);
        call.arg(attempt.fingerprint).arg(attempt.id);
        call.arg(ATTEMPT.as_secs() * 1_000).arg(KEPT_FOR.as_secs() * 1_000);
        let (state, value): (String, Value) = self.link.run(Partition::of(attempt.name), &call).await?;
        let text = |value| redis::from_redis_value::<Vec<u8>>(value).map_err(|_| Unavailable);
        Ok(match state.as_str() {
            "go" => Begun::Go(String::from_utf8(text(value)?).map_err(|_| Unavailable)?),
            "running" => Begun::Running,
            "other" => Begun::Other,
            _ => Begun::Done(text(value)?.into()),
        })
    }

    pub(crate) async fn done(&self, name: &str, reply: &Bytes) -> Result<(), Unavailable> {
        let mut call = self.call(&END, name);
        self.link.run::<i64>(Partition::of(name), call.arg("reply").arg(reply.as_ref())).await.map(drop)
    }

    pub(crate) async fn failed(&self, name: &str) -> Result<(), Unavailable> {
        let mut call = self.call(&END, name);
        self.link.run::<i64>(Partition::of(name), call.arg("until").arg("0")).await.map(drop)
    }

    pub(crate) async fn refused(&self, name: &str) -> Result<(), Unavailable> {
        let mut command = redis::cmd("DEL");
        command.arg(self.link.keys.once(name));
        self.link.command::<i64>(Partition::of(name), &command).await.map(drop)
    }

    fn call<'a>(&self, source: &'a Source, name: &str) -> Call<'a> {
        self.link.call(source, &[self.link.keys.once(name)], 4, 256)
    }
}
