//! Records again what the list of revocations has lost, from the database: ended logins, inactive users, and users that
//! were changed lately.
//!
//! Gateways do the same from memory. So what was revoked stays revoked also if they restart together with Redis, or
//! without Redis at every start of the program `jackfield`. Guarantee: at the start and once the list has begun anew, all
//! of it is there within seconds of the answer of both; no entry that is there is replaced. Deliberately does not know
//! what backends have revoked, because it is not in the database.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use jackfield_cluster::{
    log::Position,
    revocations::{BATCH, Entry, RecordError, Revocations},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::App,
    logins::now,
    revoker::{Reason, RevokeError},
};

/// Between two looks at the list.
const EVERY: Duration = Duration::from_secs(5);

/// Keeps the list until `stop`.
pub(crate) async fn keep(app: Arc<App>, list: Revocations, stop: CancellationToken) {
    let (mut known, mut has_failed) = (None, false);
    while !stop.is_cancelled() {
        match look(&app, &list, known).await {
            Ok(position) => (known, has_failed) = (Some(position), false),
            Err(error) => {
                if !has_failed {
                    tracing::warn!(%error, "cannot compare the list of revocations with the database; retrying");
                }
                has_failed = true;
            }
        }
        stop.run_until_cancelled(tokio::time::sleep(EVERY)).await;
    }
}

/// Restores the list if it was never looked at, or has begun anew. Returns the position that was read.
async fn look(app: &App, list: &Revocations, known: Option<Position>) -> Result<Position, RevokeError> {
    let position = list.read(known).await.map_err(RecordError::from)?.position;
    if known.is_none_or(|known| known.epoch != position.epoch) {
        let count = restore(app, list).await?;
        if count > 0 {
            tracing::info!(count, "told the list of revocations what the database knows");
        }
    }
    Ok(position)
}

/// Records everything that may concern a token that is still valid. Returns the number of entries.
async fn restore(app: &App, list: &Revocations) -> Result<usize, RevokeError> {
    let now = now();
    let (mut after, mut count) = (Uuid::nil(), 0);
    loop {
        let ended = app.logins.ended_with_tokens(now, after, BATCH).await?;
        let Some(last) = ended.last() else { break };
        after = last.login;
        count += record(list, &app.revoker.ended(&ended, Reason::Reused, now)).await?;
    }
    let lifetime = TimeDelta::from_std(app.revoker.lifetime()).unwrap_or(TimeDelta::MAX);
    let since = now.checked_sub_signed(lifetime).unwrap_or_default();
    after = Uuid::nil();
    loop {
        let changed = app.users.changed_since(since, after, BATCH).await?;
        let Some((last, _)) = changed.last() else { break };
        after = last.id;
        let entries: Vec<Entry> = changed
            .iter()
            .map(|(user, at)| match user.is_active {
                true => app.revoker.roles(user.id, &user.roles, *at, *at),
                false => app.revoker.active(user.id, false, *at, *at),
            })
            .collect();
        count += record(list, &entries).await?;
    }
    Ok(count)
}

async fn record(list: &Revocations, entries: &[Entry]) -> Result<usize, RevokeError> {
    list.restore(entries).await?;
    Ok(entries.len())
}
