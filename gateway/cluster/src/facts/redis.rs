//! [`crate::facts`] over Redis: for each partition a stream with a head, a lease, and each hook's progress.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use futures_util::future::join_all;
use redis::Cmd;

use crate::{
    Unavailable,
    facts::{
        Begin, DEAD_MAX, Dead, Fact, FactId, FactTerms, HookState, HookStatus, PAGE_BYTES, Page, Parked, Progress,
        Saved, Tip,
    },
    ids::Incarnation,
    log::Position,
    partition::{PARTITIONS, Partition},
    redis::{
        link::RedisLink,
        script::{ScriptCall, Source, script},
        streams::{EPOCH_KEPT, millis},
    },
};

static READ: LazyLock<Source> = script!("../redis/term.lua", "../log/common.lua", "read.lua");
static DELIVERERS: LazyLock<Source> = script!("deliverers.lua");
static LEASE: LazyLock<Source> = script!("lease.lua");
static LOAD: LazyLock<Source> = script!("load.lua");
static SAVE: LazyLock<Source> = script!("save.lua");
static RETRY: LazyLock<Source> = script!("retry.lua");

/// Progress of one hook in one partition, as [`RedisFacts::status`] reads it: epoch and last number of the partition;
/// epoch and number of the cursor, dropped facts, end of the pause, last failure; parked and dead facts.
type Figures =
    ((Option<u64>, Option<u64>), (Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<String>), u64, u64);

/// All facts.
#[derive(Clone)]
pub struct RedisFacts {
    link: Arc<RedisLink>,
    pub(crate) terms: FactTerms,
}

impl RedisFacts {
    pub(crate) fn new(link: Arc<RedisLink>, terms: FactTerms) -> Self {
        Self { link, terms }
    }

    pub(crate) async fn read(&self, partition: Partition, after: Position, count: usize) -> Result<Page, Unavailable> {
        let mut call = self.link.call(&READ, &self.link.keys.facts(partition), 4, 256);
        call.arg(after.epoch).arg(after.number).arg(count).arg(PAGE_BYTES);
        let (epoch, last, from, reset, entries): (u64, u64, u64, u8, Vec<(u64, String)>) =
            self.link.run(partition, &call).await?;
        if epoch == 0 {
            // Nothing was ever recorded, or all data was lost: keep the position, which shows that once there are facts.
            return Ok(Page { facts: Vec::new(), next: after, end: Position::default(), dropped: 0, reset: false });
        }
        let first = entries.first().map_or(last + 1, |(number, _)| *number);
        let number = entries.last().map_or(last, |(number, _)| *number);
        let dropped = if after.epoch == 0 { 0 } else { (first - 1).saturating_sub(from) };
        let facts = entries.iter().filter_map(|(number, text)| Fact::parse(partition, *number, text)).collect();
        let (next, end) = (Position { epoch, number }, Position { epoch, number: last });
        Ok(Page { facts, next, end, dropped, reset: reset == 1 })
    }

    pub(crate) async fn tips(&self, partitions: &[Partition], hooks: &[&str]) -> Result<Vec<Tip>, Unavailable> {
        let keys = &self.link.keys;
        let mut commands = Vec::with_capacity(partitions.len() * (1 + hooks.len()));
        for partition in partitions {
            let [_, head] = keys.facts(*partition);
            commands.push((*partition, fields(&head, &["e", "n"])));
            for hook in hooks {
                let [progress, ..] = keys.fact_hook(*partition, hook);
                commands.push((*partition, fields(&progress, &["v"])));
            }
        }
        let answers: Vec<Vec<Option<u64>>> = self.link.bulk(commands).await?;
        let tip = |answers: &[Vec<Option<u64>>]| {
            let number = |answer: &Vec<Option<u64>>, index: usize| answer.get(index).copied().flatten();
            let end = answers
                .first()
                .map(|end| Position { epoch: number(end, 0).unwrap_or(0), number: number(end, 1).unwrap_or(0) });
            let versions = answers.iter().skip(1).map(|version| number(version, 0)).collect();
            Tip { end: end.unwrap_or_default(), versions }
        };
        Ok(answers.chunks(1 + hooks.len()).map(tip).collect())
    }

    pub(crate) async fn deliverers(&self, by: &Incarnation, lease: Duration) -> Result<usize, Unavailable> {
        let mut call = self.link.call(&DELIVERERS, &[self.link.keys.fact_deliverers()], 2, 128);
        call.arg(by.as_str()).arg(millis(lease));
        self.link.run(Partition::FIRST, &call).await
    }

    pub(crate) async fn lease(
        &self,
        partitions: &[Partition],
        by: &Incarnation,
        lease: Duration,
    ) -> Result<Vec<bool>, Unavailable> {
        let call = |partition: &Partition| {
            let keys = vec![self.link.keys.fact_lease(*partition)];
            (*partition, ScriptCall { keys, arguments: vec![by.to_string(), millis(lease).to_string()] })
        };
        self.link.each(&LEASE, partitions.iter().map(call)).await
    }

    pub(crate) async fn leave(&self, partitions: &[Partition], by: &Incarnation) -> Result<(), Unavailable> {
        self.lease(partitions, by, Duration::ZERO).await?;
        if partitions.len() == usize::from(PARTITIONS) {
            let mut command = redis::cmd("ZREM");
            command.arg(self.link.keys.fact_deliverers()).arg(by.as_str());
            self.link.command::<i64>(Partition::FIRST, &command).await?;
        }
        Ok(())
    }

    pub(crate) async fn begin(&self, hook: &str, begin: Begin) -> Result<(), Unavailable> {
        // Each server by itself: where one is away, the hook begins once its progress is loaded.
        let begun = self.link.parts().into_iter().map(async |part| {
            let calls = part.iter().map(|partition| (partition, self.loading(hook, partition, begin, false)));
            self.link.each::<redis::Value, _>(&LOAD, calls).await
        });
        let begun = join_all(begun).await;
        if begun.iter().any(Result::is_ok) { Ok(()) } else { Err(Unavailable) }
    }

    pub(crate) async fn load(&self, hook: &str, partition: Partition) -> Result<HookState, Unavailable> {
        let ScriptCall { keys, arguments } = self.loading(hook, partition, Begin::AtOldest, true);
        let mut call = self.link.call(&LOAD, &keys, arguments.len(), 256);
        call.arg(arguments);
        let (epoch, number, version, parked): (u64, u64, u64, Vec<(String, String)>) =
            self.link.run(partition, &call).await?;
        let parked = parked.iter().filter_map(|(id, text)| Parked::parse(id.parse().ok()?, text));
        let mut parked: Vec<Parked> = parked.collect();
        parked.sort_by_key(|parked| parked.fact.id.number);
        Ok(HookState { cursor: Position { epoch, number }, version, parked })
    }

    fn loading(&self, hook: &str, partition: Partition, begin: Begin, parked: bool) -> ScriptCall {
        let [progress, of_parked, _] = self.link.keys.fact_hook(partition, hook);
        let [_, head] = self.link.keys.facts(partition);
        let begin = match begin {
            Begin::AtEnd => "end",
            Begin::AtOldest => "oldest",
        };
        let arguments = vec![begin.to_owned(), millis(EPOCH_KEPT).to_string(), u8::from(parked).to_string()];
        ScriptCall { keys: vec![progress, of_parked, head], arguments }
    }

    pub(crate) async fn save(
        &self,
        hook: &str,
        partition: Partition,
        by: &Incarnation,
        version: u64,
        progress: &Progress,
    ) -> Result<Saved, Unavailable> {
        let Progress { cursor, dropped, parked, unparked, dead, paused_until, error } = progress;
        let [state, of_parked, of_dead] = self.link.keys.fact_hook(partition, hook);
        let keys = [self.link.keys.fact_lease(partition), state, of_parked, of_dead];
        let mut call = self.link.call(&SAVE, &keys, 16, 512);
        call.arg(by.as_str()).arg(version);
        call.arg(millis(EPOCH_KEPT)).arg(cursor.epoch).arg(cursor.number).arg(*dropped).arg(*paused_until);
        call.arg(&**error).arg(DEAD_MAX).arg(parked.len()).arg(unparked.len());
        for parked in parked {
            call.arg(parked.fact.id.to_string()).arg(parked.text());
        }
        call.arg(unparked.iter().map(FactId::to_string).collect::<Vec<_>>());
        call.arg(dead.iter().map(Dead::text).collect::<Vec<_>>());
        Ok(match self.link.run::<i64>(partition, &call).await? {
            -1 => Saved::Changed,
            version => u64::try_from(version).map_or(Saved::Lost, Saved::Saved),
        })
    }

    pub(crate) async fn status(&self, hook: &str) -> Result<HookStatus, Unavailable> {
        let mut commands = Vec::with_capacity(usize::from(PARTITIONS) * 4);
        for partition in Partition::all() {
            let ([_, head], [progress, parked, dead]) =
                (self.link.keys.facts(partition), self.link.keys.fact_hook(partition, hook));
            commands.push((partition, fields(&head, &["e", "n"])));
            commands.push((partition, fields(&progress, &["e", "n", "d", "p", "r"])));
            commands.push((partition, redis::cmd("HLEN").arg(parked).to_owned()));
            commands.push((partition, redis::cmd("LLEN").arg(dead).to_owned()));
        }
        let answers: Vec<redis::Value> = self.link.bulk(commands).await?;
        let mut status = HookStatus::default();
        for of_one in answers.chunks(4) {
            let figures = redis::from_redis_value(redis::Value::Array(of_one.to_vec()));
            let ((epoch, last), (seen, number, dropped, pause, error), parked, dead): Figures =
                figures.map_err(|_| Unavailable)?;
            // It may go on from an earlier epoch.
            let number = if seen <= epoch { number.unwrap_or(0) } else { 0 };
            status.waiting += last.unwrap_or(0).saturating_sub(number);
            status.parked += parked;
            status.dead += dead;
            status.dropped += dropped.unwrap_or(0);
            status.fails(pause.unwrap_or(0), &error.unwrap_or_default());
        }
        Ok(status)
    }

    pub(crate) async fn dead(&self, hook: &str) -> Result<Vec<Dead>, Unavailable> {
        let list = |partition| {
            let [_, _, dead] = self.link.keys.fact_hook(partition, hook);
            (partition, redis::cmd("LRANGE").arg(dead).arg(0).arg(-1).to_owned())
        };
        let lists: Vec<Vec<String>> = self.link.bulk(Partition::all().map(list).collect()).await?;
        let dead = Partition::all()
            .zip(&lists)
            .flat_map(|(partition, list)| list.iter().filter_map(move |text| Dead::parse(partition, text)));
        Ok(dead.collect())
    }

    pub(crate) async fn retry(&self, hook: &str, ids: Option<&[FactId]>, term: Duration) -> Result<usize, Unavailable> {
        let mut of_partitions: BTreeMap<Partition, Vec<String>> = BTreeMap::new();
        match ids {
            None => of_partitions.extend(Partition::all().map(|partition| (partition, Vec::new()))),
            Some(ids) => {
                for id in ids {
                    of_partitions.entry(id.partition).or_default().push(id.to_string());
                }
            }
        }
        let calls = of_partitions.into_iter().map(|(partition, ids)| {
            let arguments = std::iter::once(millis(term).to_string()).chain(ids).collect();
            (partition, ScriptCall { keys: self.link.keys.fact_hook(partition, hook).into(), arguments })
        });
        let counts: Vec<usize> = self.link.each(&RETRY, calls).await?;
        Ok(counts.into_iter().sum())
    }
}

/// Reads fields of a hash.
fn fields(hash: &str, names: &[&str]) -> Cmd {
    redis::cmd("HMGET").arg(hash).arg(names).to_owned()
}
