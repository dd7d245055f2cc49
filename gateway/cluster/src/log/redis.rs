//! [`crate::log`] over Redis: a stream per room, a hash with its epoch and last number, and scripts that keep the two
//! consistent.

use std::sync::{Arc, LazyLock};

use crate::{
    Unavailable,
    facts::{FactTerms, Kind, Kinds, outbox::Outbox},
    log::{Appended, Durability, KEPT, KEPT_FOR, Page, Position, Range, SAME_KEY_FOR, Shortfall},
    partition::{Partition, PartitionSet},
    redis::{
        commit::Barrier,
        link::RedisLink,
        script::{Call, Source, script},
        streams::{EPOCH_KEPT, Streams, Wanted, millis},
    },
    room_name::RoomName,
    wire::envelope,
};

static APPEND: LazyLock<Source> = script!("../redis/term.lua", "common.lua", "../facts/common.lua", "append.lua");
static CONFIRM: LazyLock<Source> = script!("confirm.lua");

/// All rooms' logs.
#[derive(Clone)]
pub struct RedisLog {
    link: Arc<RedisLink>,
    streams: Streams,
    outbox: Outbox,
}

impl RedisLog {
    pub(crate) fn new(link: Arc<RedisLink>, streams: Streams, facts: &FactTerms) -> Self {
        Self { link, streams, outbox: Outbox::new(facts, Kinds::of([Kind::MessageStored])) }
    }

    pub(crate) fn without_facts(self) -> Self {
        Self { outbox: Outbox::none(), ..self }
    }

    pub(crate) fn may_be_lost(&self, partitions: PartitionSet) {
        self.streams.may_be_lost(partitions);
    }

    pub(crate) async fn empty(&self, room: &RoomName) -> Result<Position, Unavailable> {
        self.streams.empty(Partition::of_room(room)).await
    }

    pub(crate) async fn append(
        &self,
        room: &RoomName,
        body: &str,
        key: Option<&str>,
        seen: Option<Position>,
        durable: Durability,
    ) -> Result<Appended, Unavailable> {
        let barrier = Barrier::of(durable);
        let keys = self.link.keys.log(room);
        let sent = key.map(|key| keys.sent(key));
        let partition = Partition::of_room(room);
        let facts = self.outbox.of(&self.link.keys, partition);
        let (keys_of_facts, arguments_of_facts) = if facts.is_some() { (2, 2) } else { (0, 0) };
        let script = self.link.script(&APPEND);
        let mut call = Call::new(script, 3 + keys_of_facts, 10 + arguments_of_facts, body.len() + 512);
        call.arg(keys.messages()).arg(keys.head());
        match &sent {
            Some(sent) => call.arg(sent),
            None => call.arg(keys.head()),
        };
        if let Some((_, [stream, head])) = &facts {
            call.arg(stream).arg(head);
        }
        call.arg(body).arg(keys.channel()).arg(KEPT).arg(millis(KEPT_FOR));
        call.arg(key.map_or(0, |_| millis(SAME_KEY_FOR))).arg(millis(EPOCH_KEPT));
        let seen = seen.unwrap_or_default();
        call.arg(envelope::prefix().as_ref()).arg(seen.epoch).arg(seen.number);
        call.arg(u8::from(barrier.is_some()));
        if let Some((settings, _)) = facts {
            call.arg(settings).arg(&*room.namespace);
        }
        let (epoch, number, new): (u64, u64, u8) = match barrier {
            None => self.link.run(partition, &call).await?,
            Some(barrier) => self.link.commit(partition, barrier, call).await?,
        };
        Ok(Appended { position: Position { epoch, number }, new: new == 1, durable })
    }

    pub(crate) fn shortfalls(&self, durabilities: &[Durability]) -> Vec<Shortfall> {
        durabilities.iter().flat_map(|durability| self.link.shortfalls(*durability)).collect()
    }

    pub(crate) async fn find(
        &self,
        room: &RoomName,
        key: &str,
        durable: Durability,
    ) -> Result<Option<Position>, Unavailable> {
        let (sent, partition) = (self.link.keys.log(room).sent(key), Partition::of_room(room));
        let stored: Option<String> = match Barrier::of(durable) {
            None => self.link.command(partition, redis::cmd("GET").arg(sent)).await?,
            Some(barrier) => {
                let mut call = Call::new(self.link.script(&CONFIRM), 1, 0, 256);
                call.arg(sent);
                self.link.commit(partition, barrier, call).await?
            }
        };
        let position = |stored: String| {
            let (epoch, number) = stored.split_once(' ')?;
            Some(Position { epoch: epoch.parse().ok()?, number: number.parse().ok()? })
        };
        stored.map(|stored| position(stored).ok_or(Unavailable)).transpose()
    }

    pub(crate) async fn read(
        &self,
        room: &RoomName,
        range: Range,
        count: usize,
        seen: Option<Position>,
    ) -> Result<Page, Unavailable> {
        let keys = self.link.keys.log(room);
        let wanted = Wanted { range, count, seen, kept_for: KEPT_FOR };
        let partition = Partition::of_room(room);
        let page = self.streams.read::<String>(partition, [&keys.messages(), &keys.head()], wanted).await?;
        Ok(page.with_bodies(Arc::from))
    }
}
