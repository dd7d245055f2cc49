//! Group commit: writes that are answered only when a replica has them, or the disk.
//!
//! One connection can wait for one confirmation at a time, so the writes that arrive meanwhile share the next: a batch
//! is one pipeline of script calls and one `WAIT` or `WAITAOF`. Guarantees: an answer proves that the call's writes,
//! and everything that the server wrote before them, have passed the barrier; nothing is sent twice, except a script
//! that the server did not know; the queue is bounded. [`barrier`]: the commands · [`queue`]: batches · [`lane`]: the
//! connections · [`state`]: what the server can give. Deliberately knows no rooms, and no other servers: a redirection
//! is an error of the call.

mod barrier;
mod lane;
mod queue;
mod state;

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use jackfield_shared::lifecycle::Lifecycle;
use redis::{Cmd, RedisResult, Script, Value};

pub(crate) use self::barrier::Barrier;
use self::lane::Lane;
use crate::{
    log::{Durability, Shortfall},
    redis::connector::Connector,
};

/// The group commits of one Redis. A lane, with its task and connections, begins with its first use.
pub(crate) struct Commits {
    connector: Arc<Connector>,
    lifecycle: Lifecycle,
    replica: OnceLock<Arc<Lane>>,
    disk: OnceLock<Arc<Lane>>,
}

impl Commits {
    pub(crate) fn new(connector: Arc<Connector>, lifecycle: &Lifecycle) -> Self {
        Self { connector, lifecycle: lifecycle.clone(), replica: OnceLock::new(), disk: OnceLock::new() }
    }

    /// Runs a script that writes, and answers once what it wrote has passed the barrier. The caller stops waiting at
    /// `until`.
    pub(crate) async fn run(
        &self,
        barrier: Barrier,
        script: &'static Script,
        call: Cmd,
        until: Instant,
    ) -> RedisResult<Value> {
        self.lane(barrier).run(script, call, until).await
    }

    /// Begins to check, for as long as the node runs, whether the server can give this durability.
    pub(crate) fn watch(&self, durability: Durability) {
        if let Some(barrier) = Barrier::of(durability) {
            self.lane(barrier);
        }
    }

    /// Why the server cannot give this durability at present; `None` if it can, or if that is not known yet.
    pub(crate) fn shortfall(&self, durability: Durability) -> Option<Shortfall> {
        let lane = match Barrier::of(durability)? {
            Barrier::Replica => self.replica.get()?,
            Barrier::Disk => self.disk.get()?,
        };
        let reason = lane.problem()?.reason.to_owned();
        Some(Shortfall { durable: durability, server: self.connector.name(), reason })
    }

    fn lane(&self, barrier: Barrier) -> &Arc<Lane> {
        let lane = match barrier {
            Barrier::Replica => &self.replica,
            Barrier::Disk => &self.disk,
        };
        lane.get_or_init(|| {
            let lane = Arc::new(Lane::new(Arc::clone(&self.connector), barrier));
            self.lifecycle.spawn(Arc::clone(&lane).serve(self.lifecycle.stopping()));
            lane
        })
    }
}
