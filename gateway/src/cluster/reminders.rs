//! Who within a grace is to be looked at when: one sorted set, which only reminds. What decides is the key itself.

use std::sync::LazyLock;

use redis::{Pipeline, Script};

use super::{
    Unavailable,
    redis_link::{RedisLink, ScriptCall},
};

static DUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/due.lua")));
static SETTLED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/settled.lua")));

/// Entries that are looked at in one round trip.
pub(super) const BATCH: usize = 256;

/// Reminds of these entries at these moments (Unix milliseconds; 0 for not at all).
pub(super) async fn remind(
    link: &RedisLink,
    set: &str,
    entries: impl Iterator<Item = (String, i64)>,
) -> Result<(), Unavailable> {
    let mut reminders = Pipeline::new();
    for (entry, due) in entries.filter(|(_, due)| *due > 0) {
        reminders.cmd("ZADD").arg(set).arg("GT").arg(due).arg(entry);
    }
    match reminders.is_empty() {
        true => Ok(()),
        false => link.bulk::<Vec<i64>>(&reminders).await.map(drop),
    }
}

/// Settles every entry that is due by `script`, called as `call` says; the script returns 0 or a later moment.
pub(super) async fn settle_due(
    link: &RedisLink,
    set: &str,
    script: &Script,
    call: impl Fn(&str) -> Option<ScriptCall>,
) -> Result<(), Unavailable> {
    loop {
        let entries: Vec<String> = link.script(DUE.key(set).arg(BATCH)).await?;
        if entries.is_empty() {
            return Ok(());
        }
        let calls: Vec<(&String, Option<ScriptCall>)> = entries.iter().map(|entry| (entry, call(entry))).collect();
        // One that cannot be read is not ours to settle, and is taken off the list.
        let (known, unknown): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(_, call)| call.is_some());
        let names: Vec<&String> = known.iter().chain(&unknown).map(|(entry, _)| *entry).collect();
        let mut due: Vec<i64> = link.script_each(script, known.into_iter().filter_map(|(_, call)| call)).await?;
        due.resize(names.len(), 0);
        let settled = names.iter().zip(&due).map(|(entry, due)| ScriptCall {
            keys: vec![set.to_owned()],
            arguments: vec![(*entry).clone(), due.to_string()],
        });
        let _: Vec<i64> = link.script_each(&SETTLED, settled).await?;
        if entries.len() < BATCH {
            return Ok(());
        }
    }
}
