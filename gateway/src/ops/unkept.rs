//! The promises of rules that the back end cannot keep at present.

use jackfield_cluster::log::{Durability, Shortfall};
use serde::Serialize;

use crate::session::Shared;

/// A durability that rules name, and that their messages do not reach: they are answered `unavailable`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unkept {
    durable: &'static str,
    /// The Redis; empty for a cluster in memory.
    redis: String,
    /// The cause, and the setting to change.
    reason: String,
    /// Patterns of the rooms, as configured.
    rooms: Vec<String>,
    /// Names of the feeds.
    feeds: Vec<String>,
}

/// All of them, as far as is known; empty if everything is kept.
pub(crate) fn unkept(shared: &Shared) -> Vec<Unkept> {
    let shortfalls = shared.cluster.log.shortfalls(&shared.promised());
    shortfalls.into_iter().map(|shortfall| Unkept::new(shared, shortfall)).collect()
}

/// Begins to check what the rules promise. A cluster in memory is known at once, and logged.
pub(crate) fn watch(shared: &Shared) {
    for Unkept { durable, reason, rooms, feeds, .. } in unkept(shared) {
        tracing::warn!(
            durable,
            reason,
            ?rooms,
            ?feeds,
            "rules promise what this cluster does not give: their messages are answered `unavailable`"
        );
    }
}

impl Unkept {
    fn new(shared: &Shared, Shortfall { durable, server, reason }: Shortfall) -> Self {
        let feeds = shared.feeds.all().filter(|feed| feed.rule.durable == durable);
        Self {
            durable: durable.as_str(),
            redis: server,
            reason,
            rooms: shared.rules.with_durability(durable).map(str::to_owned).collect(),
            feeds: feeds.map(|feed| feed.rule.name.clone()).collect(),
        }
    }

    pub(super) fn is_of(&self, durable: Durability) -> bool {
        self.durable == durable.as_str()
    }
}
