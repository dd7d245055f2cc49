//! Lets a bounded number of clients at a time do what needs the back end, the longest waiting first, so that a crowd
//! waits here and not in front of Redis, where every wait ends after 2 s and would be repeated from the beginning.
//!
//! Guarantees: clients pass in the order in which they came; a client that has gone while it waited does not pass; a wait
//! ends after [`PATIENCE`]. Waiting costs nothing but memory, and handshakes are not admitted while
//! [`Turnstile::is_crowded`], so the number of waiting clients is bounded by that and by the handshakes under way.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// Clients that work at the same time: what Redis answers within a few milliseconds. When their answers come, all of them
/// run before anybody else on the node.
const AT_ONCE: usize = 64;
/// Waiting clients from which on no handshakes are admitted: what a slow node finishes within a few seconds.
const CROWD: usize = 2_048;
/// The longest wait: less than `limits.connectTimeout` by default, within which a connection must be in a namespace.
const PATIENCE: Duration = Duration::from_secs(8);

/// See the module.
pub(crate) struct Turnstile {
    permits: Semaphore,
    waiting: AtomicUsize,
}

/// The client did not pass: it has gone, or waited too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotPassed;

impl Turnstile {
    /// Waits for the client's turn. `is_gone` is asked when the turn comes.
    pub(crate) async fn pass(&self, is_gone: impl Fn() -> bool) -> Result<SemaphorePermit<'_>, NotPassed> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = Waiting::new(&self.waiting);
                // The semaphore is never closed.
                timeout(PATIENCE, self.permits.acquire()).await.ok().and_then(Result::ok).ok_or(NotPassed)?
            }
        };
        if is_gone() { Err(NotPassed) } else { Ok(permit) }
    }

    /// How many clients wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether so many clients wait that more should not be let in.
    pub(crate) fn is_crowded(&self) -> bool {
        self.waiting() >= CROWD
    }
}

impl Default for Turnstile {
    fn default() -> Self {
        Self { permits: Semaphore::new(AT_ONCE), waiting: AtomicUsize::new(0) }
    }
}

/// Counts a waiting client until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::AtomicBool,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clients_pass_in_their_order_and_those_that_have_gone_do_not() {
        let turnstile = Turnstile::default();
        let mut inside: Vec<_> = Vec::new();
        for _ in 0..AT_ONCE {
            inside.push(turnstile.pass(|| false).await.unwrap());
        }
        let gone = AtomicBool::new(false);
        let (mut first, mut second) =
            (pin!(turnstile.pass(|| gone.load(Ordering::Relaxed))), pin!(turnstile.pass(|| false)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
        inside.pop();
        assert!(second.as_mut().poll(&mut context).is_pending(), "it came later");
        gone.store(true, Ordering::Relaxed);
        assert!(matches!(first.as_mut().poll(&mut context), Poll::Ready(Err(NotPassed))));
        assert!(matches!(second.as_mut().poll(&mut context), Poll::Ready(Ok(_))), "its turn was passed on");
        assert_eq!(turnstile.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_and_a_crowd_is_noticed() {
        let turnstile = Turnstile::default();
        let inside: Vec<_> = (0..AT_ONCE).map_while(|_| turnstile.permits.try_acquire().ok()).collect();
        let mut waiting: Vec<_> = (0..CROWD).map(|_| Box::pin(turnstile.pass(|| false))).collect();
        let mut context = Context::from_waker(Waker::noop());
        assert!(!turnstile.is_crowded());
        assert!(waiting.iter_mut().all(|one| one.as_mut().poll(&mut context).is_pending()));
        assert!(turnstile.is_crowded());
        assert_eq!(turnstile.waiting(), CROWD);
        drop(waiting);
        assert!(!turnstile.is_crowded());
        assert_eq!(turnstile.pass(|| false).await.err(), Some(NotPassed));
        drop(inside);
        assert!(turnstile.pass(|| false).await.is_ok());
    }
}
