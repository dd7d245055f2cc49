//! [`crate::revocations`] over Redis. All keys share one hash tag.

use std::sync::{Arc, LazyLock};

use crate::{
    Unavailable,
    bus::Channel,
    log::Position,
    partition::Partition,
    redis::{
        link::RedisLink,
        script::{Call, Source, script},
    },
    revocations::{BATCH, Entry, MAX, Page, RecordError},
    wire::envelope,
};

static RECORD: LazyLock<Source> = script!("../redis/term.lua", "common.lua", "record.lua");
static READ: LazyLock<Source> = script!("../redis/term.lua", "common.lua", "read.lua");

/// The list.
#[derive(Clone)]
pub struct RedisRevocations {
    link: Arc<RedisLink>,
}

impl RedisRevocations {
    pub(crate) fn new(link: Arc<RedisLink>) -> Self {
        Self { link }
    }

    pub(crate) async fn record(&self, entries: &[Entry], is_restored: bool) -> Result<(), RecordError> {
        let mut call = self.call(&RECORD);
        call.arg(self.link.keys.channel(&Channel::Revocations)).arg(envelope::prefix().as_ref());
        call.arg(MAX).arg(u8::from(is_restored));
        for entry in entries {
            call.arg(entry.subject()).arg(entry.until).arg(entry.to_json());
        }
        match self.link.run::<i64>(Partition::FIRST, &call).await? {
            0 => Ok(()),
            _ => Err(RecordError::Full),
        }
    }

    pub(crate) async fn read(&self, after: Option<Position>) -> Result<Page, Unavailable> {
        let after = after.unwrap_or(Position { epoch: 0, number: 0 });
        let mut call = self.call(&READ);
        call.arg(after.epoch).arg(after.number).arg(BATCH);
        let (epoch, number, is_last, found): (u64, u64, bool, Vec<(u64, String)>) =
            self.link.run(Partition::FIRST, &call).await?;
        let entries = found.iter().filter_map(|(number, json)| Some((*number, Entry::from_json(json)?))).collect();
        Ok(Page { entries, position: Position { epoch, number }, is_last })
    }

    pub(crate) async fn check(&self) -> Result<(), Unavailable> {
        self.link.command::<String>(Partition::FIRST, &redis::cmd("PING")).await.map(drop)
    }

    fn call<'a>(&self, source: &'a Source) -> Call<'a> {
        self.link.call(source, &self.link.keys.revocations(), 8, 512)
    }
}
