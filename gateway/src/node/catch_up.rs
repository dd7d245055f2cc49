//! Reads users' logs for the sessions that miss events for their users, and sends them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use jackfield_cluster::{Unavailable, ids::SessionKey};

use crate::session::Shared;

/// Sessions for which logs are read at the same time.
const AT_ONCE: usize = 64;
const RETRY: Duration = Duration::from_millis(200);

pub(super) async fn run(shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    while !stopping.is_cancelled() {
        let sessions = shared.behind.take(AT_ONCE);
        if sessions.is_empty() {
            stopping.run_until_cancelled(shared.behind.pushed()).await;
            continue;
        }
        let read = join_all(sessions.iter().map(|session| catch_up(&shared, *session))).await;
        let has_failed = read.contains(&Err(Unavailable));
        let failed = sessions.into_iter().zip(read).filter(|(_, read)| read.is_err());
        failed.for_each(|(session, _)| shared.behind.push(session));
        if has_failed {
            stopping.run_until_cancelled(tokio::time::sleep(RETRY)).await;
        }
    }
}

async fn catch_up(shared: &Shared, session: SessionKey) -> Result<(), Unavailable> {
    let Some(connection) = shared.connections.find(session) else { return Ok(()) };
    loop {
        let Some((session, seen)) = connection.begin_catch_up() else { return Ok(()) };
        let page = shared.cluster.user_log.read(&session.user, seen).await?;
        if connection.catch_up(&page) {
            // An earlier count may have been sent after a later one.
            shared.unread.push([session]);
            return Ok(());
        }
    }
}
