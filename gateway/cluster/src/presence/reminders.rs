//! Reminders of the users to check after their grace: one sorted set. Each user's own key decides about the
//! announcement.

use std::sync::LazyLock;

use redis::{Pipeline, Script};

use crate::{
    Unavailable,
    redis::link::{RedisLink, ScriptCall},
};

static DUE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("due.lua")));
static SETTLED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("settled.lua")));

/// Entries in one batch.
pub(super) const BATCH: usize = 256;

/// Adds entries with the times at which to check them (Unix milliseconds; 0 adds nothing).
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

/// Settles every due entry with `script`, on the keys and arguments from `call`; the script returns 0 or a later time.
pub(super) async fn settle_due(
    link: &RedisLink,
    set: &str,
    script: &Script,
    call: impl Fn(&str) -> Option<ScriptCall>,
) -> Result<(), Unavailable> {
    loop {
        let entries: Vec<(String, String)> = link.script(DUE.key(set).arg(BATCH)).await?;
        if entries.is_empty() {
            return Ok(());
        }
        // An entry that `call` cannot parse is removed from the set without settling it.
        let (mut known, mut unknown, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        for entry in &entries {
            match call(&entry.0) {
                Some(call) => {
                    known.push(entry);
                    calls.push(call);
                }
                None => unknown.push(entry),
            }
        }
        let due: Vec<i64> = link.script_each(script, calls.into_iter()).await?;
        let all = known.iter().zip(due).chain(unknown.iter().zip(std::iter::repeat(0)));
        let settled = all.map(|((entry, at), due)| ScriptCall {
            keys: vec![set.to_owned()],
            arguments: vec![entry.clone(), at.clone(), due.to_string()],
        });
        let _: Vec<i64> = link.script_each(&SETTLED, settled).await?;
        if entries.len() < BATCH {
            return Ok(());
        }
    }
}
