//! [`crate::facts`] over Redis: for each partition a stream with a head, a lease, and each hook's progress.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use redis::{Pipeline, Script};

use crate::{
    Unavailable,
    facts::{
        Begin, DEAD_MAX, Dead, Fact, FactId, FactTerms, HookState, HookStatus, PAGE_BYTES, PARTITIONS, Page, Parked,
        Partition, Progress, Saved, Tip,
    },
    ids::Incarnation,
    log::Position,
    redis::{
        link::{RedisLink, ScriptCall, call},
        streams::{EPOCH_KEPT, millis},
    },
};

static READ: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("../log/common.lua"), include_str!("read.lua"))));
static DELIVERERS: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("deliverers.lua")));
static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lease.lua")));
static LOAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("load.lua")));
static SAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("save.lua")));
static RETRY: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("retry.lua")));

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
        let [stream, head] = self.link.keys.facts(partition);
        let mut call = call(&READ, 2, 2 + 4, 256);
        call.arg(stream).arg(head).arg(after.epoch).arg(after.number).arg(count).arg(PAGE_BYTES);
        let (epoch, last, from, reset, entries): (u64, u64, u64, u8, Vec<(u64, String)>) =
            self.link.call(&READ, &call).await?;
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
        let mut pipeline = Pipeline::new();
        for partition in partitions {
            let [_, head] = keys.facts(*partition);
            pipeline.cmd("HMGET").arg(head).arg(&["e", "n"]);
            for hook in hooks {
                let [progress, ..] = keys.fact_hook(*partition, hook);
                pipeline.cmd("HMGET").arg(progress).arg(&["v"]);
            }
        }
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let answers: Vec<Vec<Option<u64>>> = self.link.bulk(&pipeline).await?;
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
        let mut call = DELIVERERS.key(self.link.keys.fact_deliverers());
        call.arg(by.as_str()).arg(millis(lease));
        self.link.script(&call).await
    }

    pub(crate) async fn lease(
        &self,
        partitions: &[Partition],
        by: &Incarnation,
        lease: Duration,
    ) -> Result<Vec<bool>, Unavailable> {
        let calls = partitions.iter().map(|partition| ScriptCall {
            keys: vec![self.link.keys.fact_lease(*partition)],
            arguments: vec![by.to_string(), millis(lease).to_string()],
        });
        self.link.script_each(&LEASE, calls).await
    }

    pub(crate) async fn leave(&self, partitions: &[Partition], by: &Incarnation) -> Result<(), Unavailable> {
        self.lease(partitions, by, Duration::ZERO).await?;
        if partitions.len() == usize::from(PARTITIONS) {
            let mut command = redis::cmd("ZREM");
            command.arg(self.link.keys.fact_deliverers()).arg(by.as_str());
            self.link.command::<i64>(&command).await?;
        }
        Ok(())
    }

    pub(crate) async fn begin(&self, hook: &str, begin: Begin) -> Result<(), Unavailable> {
        let calls = Partition::all().map(|partition| self.loading(hook, partition, begin, false));
        let _: Vec<redis::Value> = self.link.script_each(&LOAD, calls).await?;
        Ok(())
    }

    pub(crate) async fn load(&self, hook: &str, partition: Partition) -> Result<HookState, Unavailable> {
        let ScriptCall { keys, arguments } = self.loading(hook, partition, Begin::AtOldest, true);
        let (epoch, number, version, parked): (u64, u64, u64, Vec<(String, String)>) =
            self.link.script(LOAD.prepare_invoke().key(keys).arg(arguments)).await?;
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
        let mut call = SAVE.key(self.link.keys.fact_lease(partition));
        call.key(&self.link.keys.fact_hook(partition, hook)[..]).arg(by.as_str()).arg(version);
        call.arg(millis(EPOCH_KEPT)).arg(cursor.epoch).arg(cursor.number).arg(*dropped).arg(*paused_until);
        call.arg(&**error).arg(DEAD_MAX).arg(parked.len()).arg(unparked.len());
        for parked in parked {
            call.arg(parked.fact.id.to_string()).arg(parked.text());
        }
        call.arg(unparked.iter().map(FactId::to_string).collect::<Vec<_>>());
        call.arg(dead.iter().map(Dead::text).collect::<Vec<_>>());
        Ok(match self.link.script::<i64>(&call).await? {
            -1 => Saved::Changed,
            version => u64::try_from(version).map_or(Saved::Lost, Saved::Saved),
        })
    }

    pub(crate) async fn status(&self, hook: &str) -> Result<HookStatus, Unavailable> {
        let mut pipeline = Pipeline::new();
        for partition in Partition::all() {
            let ([_, head], [progress, parked, dead]) =
                (self.link.keys.facts(partition), self.link.keys.fact_hook(partition, hook));
            pipeline.cmd("HMGET").arg(head).arg(&["e", "n"]);
            pipeline.cmd("HMGET").arg(progress).arg(&["e", "n", "d", "p", "r"]);
            pipeline.cmd("HLEN").arg(parked).cmd("LLEN").arg(dead);
        }
        let answers: Vec<redis::Value> = self.link.bulk(&pipeline).await?;
        let mut status = HookStatus::default();
        for of_one in answers.chunks(4) {
            let figures = redis::from_redis_value(redis::Value::Array(of_one.to_vec()));
            let ((epoch, last), (seen, number, dropped, pause, error), parked, dead): Figures =
                figures.map_err(|_| Unavailable)?;
            let number = if epoch == seen { number.unwrap_or(0) } else { 0 };
            status.waiting += last.unwrap_or(0).saturating_sub(number);
            status.parked += parked;
            status.dead += dead;
            status.dropped += dropped.unwrap_or(0);
            status.fails(pause.unwrap_or(0), &error.unwrap_or_default());
        }
        Ok(status)
    }

    pub(crate) async fn dead(&self, hook: &str) -> Result<Vec<Dead>, Unavailable> {
        let mut pipeline = Pipeline::new();
        for partition in Partition::all() {
            let [_, _, dead] = self.link.keys.fact_hook(partition, hook);
            pipeline.cmd("LRANGE").arg(dead).arg(0).arg(-1);
        }
        let lists: Vec<Vec<String>> = self.link.bulk(&pipeline).await?;
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
        let calls = of_partitions.into_iter().map(|(partition, ids)| ScriptCall {
            keys: self.link.keys.fact_hook(partition, hook).into(),
            arguments: std::iter::once(millis(term).to_string()).chain(ids).collect(),
        });
        let counts: Vec<usize> = self.link.script_each(&RETRY, calls).await?;
        Ok(counts.into_iter().sum())
    }
}
