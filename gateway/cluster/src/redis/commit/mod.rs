//! Group commit: writes that are answered only when a replica has them, or the disk.
//!
//! One connection can wait for one confirmation at a time, so the writes that arrive meanwhile share the next: a batch
//! is one pipeline of script calls and one `WAIT` or `WAITAOF`. Guarantees: an answer proves that the call's writes,
//! and everything that the server wrote before them, have passed the barrier; nothing is sent twice, except a script
//! that the server did not know; the queue is bounded. [`barrier`]: the commands · [`gate`]: what must be true besides ·
//! [`queue`]: the writes that wait · [`batch`] · [`lane`]: the connections · [`state`]: whether the server can give it.
//! Deliberately knows no rooms, and no other servers: a redirection
//! is an error of the call.

mod barrier;
mod batch;
mod gate;
mod lane;
mod queue;
mod state;

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use jackfield_shared::lifecycle::Lifecycle;
use redis::{RedisResult, Value};

pub(crate) use self::barrier::Barrier;
use self::{batch::Append, lane::Lane};
use crate::{
    log::{Durability, Shortfall},
    redis::{connector::Connector, script::Call},
};

/// The group commits of one Redis. A lane, with its task and connections, begins with its first use.
pub(crate) struct Commits {
    name: String,
    connector: Arc<Connector>,
    lifecycle: Lifecycle,
    replica: OnceLock<Arc<Lane>>,
    disk: OnceLock<Arc<Lane>>,
}

impl Commits {
    /// `name` is the server's, for logs and reports.
    pub(crate) fn new(name: String, connector: Arc<Connector>, lifecycle: &Lifecycle) -> Self {
        Self { name, connector, lifecycle: lifecycle.clone(), replica: OnceLock::new(), disk: OnceLock::new() }
    }

    /// Runs a script that writes, and answers once what it wrote has passed the barrier. The caller stops waiting at
    /// `until`. With `is_asking`, ASKING comes right before the call.
    pub(crate) async fn run(
        &self,
        barrier: Barrier,
        call: Call<'static>,
        until: Instant,
        is_asking: bool,
    ) -> RedisResult<Value> {
        self.lane(barrier).run(Append::new(call, until, is_asking)).await
    }

    /// Why the server does not give this durability at present; `None` if it does, or if that is not known yet. From the
    /// first call on, for as long as the node runs, that is checked.
    pub(crate) fn shortfall(&self, durability: Durability) -> Option<Shortfall> {
        let reason = self.lane(Barrier::of(durability)?).problem()?.reason.to_owned();
        Some(Shortfall { durable: durability, server: self.name.clone(), reason })
    }

    fn lane(&self, barrier: Barrier) -> &Arc<Lane> {
        let lane = match barrier {
            Barrier::Replica => &self.replica,
            Barrier::Disk => &self.disk,
        };
        lane.get_or_init(|| {
            let lane = Arc::new(Lane::new(self.name.clone(), Arc::clone(&self.connector), barrier));
            self.lifecycle.spawn(Arc::clone(&lane).serve(self.lifecycle.stopping()));
            lane
        })
    }
}
