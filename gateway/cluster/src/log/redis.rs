//! [`crate::log`] over Redis: a stream per room, a hash with its epoch and last number, and scripts that keep the two
//! consistent.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::Script;

use crate::{
    Unavailable,
    log::{Appended, KEPT, KEPT_FOR, PAGE_BYTES, Page, Position, Range, SAME_KEY_FOR, Stored},
    membership::Remembered,
    redis::link::{RedisLink, call},
    room_name::RoomName,
    wire::envelope,
};

static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("append.lua")));
static REMEMBERED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("remembered.lua")));
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("read.lua")));

/// After no read or write for this long, a room begins a new epoch: 30 days, and the hour for which an append need not
/// renew it.
const EPOCH_KEPT: Duration = Duration::from_hours(24 * 30 + 1);

/// All rooms' logs.
#[derive(Clone)]
pub struct RedisLog {
    link: Arc<RedisLink>,
    /// Epoch of rooms without a log; 0 until it is known.
    empty: Arc<AtomicU64>,
}

impl RedisLog {
    pub(crate) fn new(link: Arc<RedisLink>) -> Self {
        Self { link, empty: Arc::default() }
    }

    pub(crate) fn remembers(&self, Remembered(since): Remembered) {
        self.empty.store(since, Ordering::Release);
    }

    pub(crate) async fn empty(&self) -> Result<Position, Unavailable> {
        match self.empty.load(Ordering::Acquire) {
            0 => self.ask_empty().await,
            epoch => Ok(Position { epoch, number: 0 }),
        }
    }

    async fn ask_empty(&self) -> Result<Position, Unavailable> {
        let epoch = self.link.script(&REMEMBERED.key(self.link.keys.remembered_since())).await?;
        self.empty.store(epoch, Ordering::Release);
        Ok(Position { epoch, number: 0 })
    }

    pub(crate) async fn append(
        &self,
        room: &RoomName,
        body: &str,
        key: Option<&str>,
        seen: Option<Position>,
    ) -> Result<Appended, Unavailable> {
        let keys = self.link.keys.log(room);
        let sent = key.map(|key| keys.sent(key));
        let mut call = call(&APPEND, 3, 3 + 8, body.len() + 512);
        call.arg(keys.messages()).arg(keys.head());
        match &sent {
            Some(sent) => call.arg(sent),
            None => call.arg(keys.head()),
        };
        call.arg(body).arg(keys.channel()).arg(KEPT).arg(millis(KEPT_FOR));
        call.arg(key.map_or(0, |_| millis(SAME_KEY_FOR))).arg(millis(EPOCH_KEPT));
        call.arg(envelope::prefix().as_ref()).arg(seen.map_or(0, |seen| seen.epoch));
        let (epoch, number, new): (u64, u64, u8) = self.link.call(&APPEND, &call).await?;
        Ok(Appended { position: Position { epoch, number }, new: new == 1 })
    }

    pub(crate) async fn find(&self, room: &RoomName, key: &str) -> Result<Option<Position>, Unavailable> {
        let mut get = redis::cmd("GET");
        get.arg(self.link.keys.log(room).sent(key));
        let stored: Option<String> = self.link.command(&get).await?;
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
        let mut empty = self.empty().await?;
        let (what, number) = match range {
            Range::After(number) => ("after", number),
            Range::Before(number) => ("before", number),
            Range::Newest => ("newest", 0),
        };
        let keys = self.link.keys.log(room);
        let mut call = call(&READ, 2, 2 + 9, 512);
        call.arg(keys.messages())
            .arg(keys.head())
            .arg(what)
            .arg(number)
            .arg(count)
            .arg(millis(KEPT_FOR))
            .arg(millis(EPOCH_KEPT));
        let seen_or_none = seen.unwrap_or(Position { epoch: 0, number: 0 });
        call.arg(seen_or_none.epoch).arg(seen_or_none.number);
        call.arg(empty.epoch).arg(PAGE_BYTES);
        let (epoch, last, base, entries, kept_for): (u64, u64, u64, Vec<(u64, String)>, u64) =
            self.link.call(&READ, &call).await?;
        let messages = entries.into_iter().map(|(number, body)| Stored { number, body: body.into() }).collect();
        let (mut end, kept_for) = (Position { epoch, number: last }, Duration::from_millis(kept_for));
        if end == empty && seen.is_some_and(|seen| seen != empty) {
            // The log that the caller has seen no longer exists. If all data was lost, this node's `empty` is outdated.
            empty = self.ask_empty().await?;
            end = empty;
        }
        Ok(Page { end, base, messages, empty, kept_for })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
