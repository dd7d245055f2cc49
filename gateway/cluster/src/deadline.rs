//! Limits each wait for the back end: to [`TIMEOUT`], or less if the caller has waited before.
//!
//! Code that handles events one after the other gives each event one budget, which all its waits for the back end
//! share. Work in a task of its own, or outside of [`allow`], has [`TIMEOUT`] for each wait.

use std::{cell::Cell, future::Future, pin::Pin, time::Duration};

use tokio::{task::futures::TaskLocalFuture, time::Instant};

/// No wait for the back end is longer than this.
pub const TIMEOUT: Duration = Duration::from_secs(2);

tokio::task_local! {
    static BUDGET: Budget;
}

/// See the module.
pub struct Budget {
    until: Instant,
    last_wait: Cell<Option<Wait>>,
}

/// How a wait for the back end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// With an answer.
    Answered,
    /// With an error, or with no answer in time.
    TimedOut,
}

/// Work with a budget.
pub type Budgeted<F> = TaskLocalFuture<Budget, F>;

/// Runs `work`; all its waits for the back end are over by `until`.
pub fn allow<F: Future>(until: Instant, work: F) -> Budgeted<F> {
    BUDGET.scope(Budget { until, last_wait: Cell::new(None) }, work)
}

/// How the work's last wait ended, if it waited. Call it once, after the work: it takes the budget away.
pub fn last_wait<F: Future>(work: Pin<&mut Budgeted<F>>) -> Option<Wait> {
    work.take_value().and_then(|budget| budget.last_wait.get())
}

/// Time limit of the next wait, at most `limit`; `None` when no time is left, which is recorded as a wait in vain.
#[must_use]
pub fn left(limit: Duration) -> Option<Duration> {
    let left = BUDGET.try_with(|budget| budget.until.saturating_duration_since(Instant::now()));
    let left = left.map_or(limit, |left| left.min(limit));
    if left.is_zero() {
        ended(Wait::TimedOut);
        return None;
    }
    Some(left)
}

/// Records how a wait ended.
pub fn ended(wait: Wait) {
    // Without a budget nothing reads the record.
    let _ = BUDGET.try_with(|budget| budget.last_wait.set(Some(wait)));
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn waits_share_an_allowance() {
        assert_eq!(left(TIMEOUT), Some(TIMEOUT));
        let until = Instant::now() + Duration::from_secs(1);
        let mut work = pin!(allow(until, async { left(TIMEOUT) }));
        assert!(work.as_mut().await.unwrap() <= Duration::from_secs(1));
        assert_eq!(last_wait(work), None);
        let mut work = pin!(allow(Instant::now(), async { left(TIMEOUT) }));
        assert_eq!((work.as_mut().await, last_wait(work)), (None, Some(Wait::TimedOut)));
    }
}
