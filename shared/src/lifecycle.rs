//! Start and end of a process: the only place that handles signals, and the only one that spawns tasks.
//!
//! Shutdown has two stages. First the process is [leaving](Lifecycle::leave): everything still works while it hands
//! over its work. Then it [stops](Lifecycle::stop). A program that has nothing to hand over stops at once.
//!
//! Guarantees: every task is tracked, but for the one that waits for a second signal, and is to end on one token;
//! [`Lifecycle::finish`] waits for all of them, for a bounded time. A signal that arrives once leaving has begun ends the
//! process at once.

use std::{future::Future, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// A runtime with this many worker threads, 0 for one per core. A single one is the caller's thread.
///
/// # Errors
/// The threads cannot be started.
pub fn runtime(workers: usize) -> std::io::Result<Runtime> {
    let mut builder = match workers {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    builder.enable_all().build()
}

/// Cheap to clone; all clones share the state of the same process or test.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    leave: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Lifecycle {
    /// A running lifecycle.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The token of the first stage: cancelled once the process is leaving, at the latest when it stops.
    #[must_use]
    pub fn leaving(&self) -> CancellationToken {
        self.leave.clone()
    }

    /// Begins the first stage. The task that hands over ends it with [`Lifecycle::stop`].
    pub fn leave(&self) {
        self.leave.cancel();
    }

    /// The token that every background task ends on.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Asks everything to end.
    pub fn stop(&self) {
        self.leave.cancel();
        self.stop.cancel();
    }

    /// Runs `task` in the background, tracked. It must end soon after [`Lifecycle::stopping`] is cancelled.
    #[expect(clippy::disallowed_methods, reason = "this is the one tracked place")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tasks.track_future(task))
    }

    /// Makes [`Lifecycle::finish`] wait until the token is dropped. For threads.
    pub fn track(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    /// From now on SIGINT or SIGTERM calls [`Lifecycle::stop`], and a second one exits with 130 at once. Call before
    /// anything is served, so that no signal ends the process in another way.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn stop_on_signal(&self) -> std::io::Result<()> {
        self.on_signal(Self::stop)
    }

    /// As [`Lifecycle::stop_on_signal`], for a process that has something to hand over: the first signal calls
    /// [`Lifecycle::leave`].
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn leave_on_signal(&self) -> std::io::Result<()> {
        self.on_signal(Self::leave)
    }

    fn on_signal(&self, begin: fn(&Self)) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let lifecycle = self.clone();
        self.spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = lifecycle.leave.cancelled() => {}
            }
            begin(&lifecycle);
            // Untracked on purpose: it ends with the process, and `finish` must not wait for it.
            drop(second_signal(interrupt, terminate));
        });
        Ok(())
    }

    /// Asks everything to end and waits for it, at most `grace`. False when tasks were still running then.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.stop();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[expect(clippy::disallowed_methods, reason = "lives as long as the process")]
fn second_signal(mut interrupt: Signal, mut terminate: Signal) -> JoinHandle<()> {
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopping_implies_leaving() {
        let lifecycle = Lifecycle::new();
        lifecycle.leave();
        assert!(lifecycle.leaving().is_cancelled() && !lifecycle.stopping().is_cancelled());
        let at_once = Lifecycle::new();
        at_once.stop();
        assert!(at_once.leaving().is_cancelled() && at_once.stopping().is_cancelled());
    }

    #[tokio::test]
    async fn finish_waits_for_tasks_and_no_longer_than_the_grace() {
        let good = Lifecycle::new();
        let stopping = good.stopping();
        good.spawn(async move { stopping.cancelled().await });
        assert!(good.finish(Duration::from_secs(5)).await);

        let stuck = Lifecycle::new();
        stuck.spawn(std::future::pending::<()>());
        assert!(!stuck.finish(Duration::from_millis(20)).await);
    }
}
