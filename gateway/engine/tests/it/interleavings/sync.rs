//! Loom's lock and wake, with the interface of those that the product uses.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use loom::{model::Builder, sync::MutexGuard};

/// Times that a thread is interrupted in one interleaving. Nearly all races need two at most; with more, the number of
/// interleavings explodes.
const INTERRUPTIONS: usize = 3;

/// Runs every interleaving of the threads that `run` starts.
pub(super) fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(INTERRUPTIONS);
    builder.check(run);
}

/// Runs a future to its end. Loom has no tasks: it blocks instead of waiting.
pub(super) fn run(future: impl Future<Output = ()>) {
    assert!(pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(super) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// Remembers one notification; wakes without one, too.
pub(super) struct Notify(loom::sync::Notify);

impl Notify {
    pub(super) fn new() -> Self {
        Self(loom::sync::Notify::new())
    }

    pub(super) fn notify_one(&self) {
        self.0.notify();
    }

    /// Blocks the thread: loom has no tasks.
    #[expect(clippy::unused_async, reason = "awaited by the product's code")]
    pub(super) async fn notified(&self) {
        self.0.wait();
    }
}
