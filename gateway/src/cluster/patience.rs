//! How long a wait for the back end may take: [`PATIENCE`], or less where the caller has waited before.
//!
//! What handles events one after the other gives each of them one allowance, for all that it asks of the back end
//! together. Work that runs in a task of its own, or outside of [`allow`], has [`PATIENCE`] for each wait.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::task::futures::TaskLocalFuture;

/// No wait for the back end is longer than this.
pub const PATIENCE: Duration = Duration::from_secs(2);

tokio::task_local! {
    static ALLOWED: Allowance;
}

/// See the module.
pub struct Allowance {
    until: Instant,
    last_wait: Cell<Option<Wait>>,
}

/// How a wait for the back end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// With an answer.
    Answered,
    /// Without one.
    InVain,
}

/// Work under an allowance.
pub type Allowed<F> = TaskLocalFuture<Allowance, F>;

/// Runs `work`, whose waits for the back end all end at `until`.
pub fn allow<F: Future>(until: Instant, work: F) -> Allowed<F> {
    ALLOWED.scope(Allowance { until, last_wait: Cell::new(None) }, work)
}

/// How the last of the work's waits ended, if there was one. To be asked once, after it.
pub fn last_wait<F: Future>(work: Pin<&mut Allowed<F>>) -> Option<Wait> {
    work.take_value().and_then(|allowance| allowance.last_wait.get())
}

/// How long the next wait may take, where `usual` is the most; nothing where it may not begin.
#[must_use]
pub fn left(usual: Duration) -> Option<Duration> {
    let left = ALLOWED.try_with(|allowed| allowed.until.saturating_duration_since(Instant::now()));
    let left = left.map_or(usual, |left| left.min(usual));
    if left.is_zero() {
        ended(Wait::InVain);
        return None;
    }
    Some(left)
}

/// A wait ended.
pub fn ended(wait: Wait) {
    // Outside of an allowance nobody asks.
    let _ = ALLOWED.try_with(|allowed| allowed.last_wait.set(Some(wait)));
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn waits_share_an_allowance() {
        assert_eq!(left(PATIENCE), Some(PATIENCE));
        let until = Instant::now() + Duration::from_secs(1);
        let mut work = pin!(allow(until, async { left(PATIENCE) }));
        assert!(work.as_mut().await.unwrap() <= Duration::from_secs(1));
        assert_eq!(last_wait(work), None);
        let mut work = pin!(allow(Instant::now(), async { left(PATIENCE) }));
        assert_eq!((work.as_mut().await, last_wait(work)), (None, Some(Wait::InVain)));
    }
}
