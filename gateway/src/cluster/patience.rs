//! How long a wait for the back end may take: [`PATIENCE`], or less where the caller has waited before.
//!
//! What handles events one after the other gives each of them one allowance, for all that it asks of the back end
//! together. Work that runs in a task of its own, or outside of [`allow`], has [`PATIENCE`] for each wait.

use std::{
    cell::Cell,
    future::Future,
    time::{Duration, Instant},
};

/// No wait for the back end is longer than this.
pub const PATIENCE: Duration = Duration::from_secs(2);

tokio::task_local! {
    static ALLOWED: Allowance;
}

struct Allowance {
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

/// Runs `work`, whose waits for the back end all end at `until`. Returns how the last of them ended, if there was one.
pub async fn allow<T>(until: Instant, work: impl Future<Output = T>) -> (T, Option<Wait>) {
    let work = async {
        let done = work.await;
        (done, ALLOWED.with(|allowed| allowed.last_wait.get()))
    };
    ALLOWED.scope(Allowance { until, last_wait: Cell::new(None) }, work).await
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
    use super::*;

    #[tokio::test]
    async fn waits_share_an_allowance() {
        assert_eq!(left(PATIENCE), Some(PATIENCE));
        let until = Instant::now() + Duration::from_secs(1);
        let (remaining, last_wait) = allow(until, async { left(PATIENCE) }).await;
        assert!(remaining.unwrap() <= Duration::from_secs(1));
        assert_eq!(last_wait, None);
        let (remaining, last_wait) = allow(Instant::now(), async { left(PATIENCE) }).await;
        assert_eq!((remaining, last_wait), (None, Some(Wait::InVain)));
    }
}
