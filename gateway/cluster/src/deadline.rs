//! Limits each wait for the back end: to [`TIMEOUT`], or less if the caller has waited before.
//!
//! Code that handles events one after the other gives each event one budget, which all waits of the event share. Code
//! in a task of its own, or outside of [`allow`], has [`TIMEOUT`] for each wait.

use std::{cell::Cell, future::Future, pin::Pin, time::Duration};

use tokio::{task::futures::TaskLocalFuture, time::Instant};

/// The longest wait for the back end.
pub const TIMEOUT: Duration = Duration::from_secs(2);

tokio::task_local! {
    static BUDGET: Budget;
}

/// The time that the waits of one piece of work share.
pub struct Budget {
    until: Cell<Instant>,
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

/// Runs `work`; all its waits for the back end end by `until`.
pub fn allow<F: Future>(until: Instant, work: F) -> Budgeted<F> {
    BUDGET.scope(Budget { until: Cell::new(until), last_wait: Cell::new(None) }, work)
}

/// A wait within the work that is not one for the back end: its time is not taken from the budget.
pub async fn not_counted<F: Future>(wait: F) -> F::Output {
    let began = Instant::now();
    let output = wait.await;
    // Without a budget there is nothing to extend.
    let _ = BUDGET.try_with(|budget| budget.until.set(budget.until.get() + began.elapsed()));
    output
}

/// How the work's last wait ended, if it waited. Call it once, after the work, because it consumes the budget.
pub fn last_wait<F: Future>(work: Pin<&mut Budgeted<F>>) -> Option<Wait> {
    work.take_value().and_then(|budget| budget.last_wait.get())
}

/// Time limit of the next wait, at most `limit`. `None` if no time is left; then this also records the timeout.
#[must_use]
pub fn left(limit: Duration) -> Option<Duration> {
    let left = BUDGET.try_with(|budget| budget.until.get().saturating_duration_since(Instant::now()));
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

    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn waits_share_a_budget() {
        assert_eq!(left(TIMEOUT), Some(TIMEOUT));
        let until = Instant::now() + Duration::from_secs(1);
        let mut work = pin!(allow(until, async { left(TIMEOUT) }));
        assert!(work.as_mut().await.unwrap() <= Duration::from_secs(1));
        assert_eq!(last_wait(work), None);
        let mut work = pin!(allow(Instant::now(), async { left(TIMEOUT) }));
        assert_eq!((work.as_mut().await, last_wait(work)), (None, Some(Wait::TimedOut)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_for_something_else_leaves_the_budget_as_it_was() {
        let work = async {
            sleep(Duration::from_millis(300)).await;
            not_counted(sleep(Duration::from_secs(5))).await;
            left(TIMEOUT)
        };
        let begun = Instant::now() + Duration::from_secs(1);
        assert_eq!(allow(begun, work).await, Some(Duration::from_millis(700)));
        let mut late = pin!(allow(Instant::now(), async {
            not_counted(sleep(Duration::from_secs(5))).await;
            left(TIMEOUT)
        }));
        assert_eq!((late.as_mut().await, last_wait(late)), (None, Some(Wait::TimedOut)));
    }
}
