//! Watches for another master between connects: a master that is frozen or cut off keeps its connections, while the
//! sentinels choose another one.
//!
//! Every [`WATCH_EVERY`] all sentinels are asked, each over one connection. As soon as one of them objects to the server in
//! use, all connections to it are dropped; new ones are made once nobody objects. A sentinel that does not answer is left
//! out.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{connect, council::Council, ranked, view::objection};
use crate::redis::{
    connector::{Connector, ELECT_TIMEOUT, within},
    hello::Protocol,
    report::Failing,
};

pub(super) const WATCH_EVERY: Duration = Duration::from_millis(500);

/// Tells the connector about another master than the one that it uses, and to leave one that is being replaced.
pub(in crate::redis) async fn watch(
    council: Arc<Mutex<Council>>,
    connector: Arc<Connector>,
    stopping: CancellationToken,
) {
    let passed_over = Failing::default();
    let mut tick = interval(WATCH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let master = council.lock().await.master.clone();
    let watching = async {
        loop {
            tick.tick().await;
            let views = council.lock().await.views().await;
            let ranked = ranked(views.iter().map(|(_, view)| view.named.clone()).collect());
            let used = ranked.iter().find(|address| !connector.is_elsewhere(address));
            if used.is_some_and(|used| objection(&views, used).is_some()) {
                connector.renew();
            }
            if ranked.first().is_some_and(|address| connector.is_elsewhere(address)) {
                let found = within(ELECT_TIMEOUT, connect(&master, Protocol::Resp2, &passed_over)).await;
                if let Ok((_, address)) = found {
                    connector.found(address);
                }
            }
        }
    };
    stopping.run_until_cancelled(watching).await;
}
