//! The drain: the node makes its clients reconnect elsewhere, then stops everything.
//!
//! After the first signal the node is unready but serves as before for `drain.delay`, as balancers have yet to notice.
//! Then it refuses new handshakes and closes the transports, spread evenly over `drain.window`, so as not to storm the
//! other nodes. It sends no DISCONNECT for joined namespaces, so that stock clients come back by themselves.
//!
//! Guarantees: packets that came before the node lets a connection go are handled and answered before its transport is
//! closed, as far as possible within [`FINISH_WITHIN`]; later packets are not acknowledged, and so nothing acknowledged is
//! lost. Sessions are released the usual way, so that a client that is back within the grace was never away. The node
//! stops once all connections are gone; a client that does not read, or a back end that is away, cannot delay this for
//! longer than [`FINISH_WITHIN`] and [`CLEANUP_WITHIN`] beyond the window.

use std::{sync::Arc, time::Duration};

use jackfield_engine::CloseReason;
use tokio::time::{Instant, sleep};

use crate::{
    metrics,
    session::{Connection, Shared},
};

/// Time between two turns of closing connections.
const TURN: Duration = Duration::from_millis(50);
/// How long a connection that is let go may take to have its events handled and answered.
const FINISH_WITHIN: Duration = Duration::from_secs(3);
/// How long transports may take to be gone after the last was closed, and sessions to be released.
const CLEANUP_WITHIN: Duration = Duration::from_secs(4);
/// Time between two checks of that.
const CHECK_EVERY: Duration = Duration::from_millis(10);
/// Connections that are let go before the task yields.
const BATCH: usize = 512;

/// Waits until the process is leaving, empties the node, and stops everything.
pub(super) async fn drain(shared: Arc<Shared>) {
    shared.lifecycle.leaving().cancelled().await;
    let began = Instant::now();
    if shared.lifecycle.stopping().run_until_cancelled(empty(&shared)).await.is_some() {
        let left = shared.limiter.count();
        tracing::info!(seconds = began.elapsed().as_secs_f64(), left, "drained");
    }
    shared.lifecycle.stop();
}

async fn empty(shared: &Arc<Shared>) {
    let (delay, window) = shared.settings.drain_timing();
    tracing::info!(connections = shared.limiter.count(), ?delay, ?window, "draining");
    // The next heartbeat reports it to the other nodes: send one now.
    shared.lease.beat_now();
    sleep(delay).await;
    shared.readiness_flags.refuse_handshakes();
    close_connections(shared, window).await;
    let cleanup = async {
        while shared.limiter.count() > 0 || !shared.releases.is_settled() {
            sleep(CHECK_EVERY).await;
        }
    };
    // Clients that remain do not read, and the survivors release the rest.
    let _ = tokio::time::timeout(CLEANUP_WITHIN, cleanup).await;
}

async fn close_connections(shared: &Shared, window: Duration) {
    let began = Instant::now();
    let mut open = open_connections(shared);
    let mut closing = Vec::new();
    loop {
        let count = share(open.len(), turns_left(began.elapsed(), window));
        metrics::DRAINED.add(count);
        let leaving = open.split_off(open.len() - count);
        for batch in leaving.chunks(BATCH) {
            for connection in batch {
                connection.stop_accepting();
            }
            tokio::task::yield_now().await;
        }
        let since = Instant::now();
        closing.extend(leaving.into_iter().map(|connection| (connection, since)));
        close_finished(shared, &mut closing).await;
        if open.is_empty() && closing.is_empty() {
            // Connections whose handshake was answered before others were refused, and that had joined nothing.
            open = open_connections(shared);
            if open.is_empty() {
                return;
            }
        }
        sleep(TURN).await;
    }
}

/// Closes connections whose answers are sent, or that have taken longer than [`FINISH_WITHIN`].
async fn close_finished(shared: &Shared, closing: &mut Vec<(Arc<Connection>, Instant)>) {
    for (connection, since) in std::mem::take(closing) {
        let finished = connection.is_finished();
        if !finished && since.elapsed() < FINISH_WITHIN {
            closing.push((connection, since));
            continue;
        }
        // A client that only does not read, such as one whose poll a balancer sent elsewhere, leaves no claim behind.
        if !connection.is_handled() {
            shared.releases.mark_incomplete();
        }
        connection.close(CloseReason::Draining);
    }
    tokio::task::yield_now().await;
}

/// Turns left in a window, the present one included; 0 when it is over.
fn turns_left(elapsed: Duration, window: Duration) -> usize {
    let left = window.saturating_sub(elapsed).as_nanos();
    usize::try_from(left.div_ceil(TURN.as_nanos())).unwrap_or(usize::MAX)
}

/// How many of `open` connections to close in this turn, so that none is left after the last.
fn share(open: usize, turns: usize) -> usize {
    open.div_ceil(turns.max(1))
}

/// Every connection, in a namespace or not, that is not closing yet.
fn open_connections(shared: &Shared) -> Vec<Arc<Connection>> {
    let mut all = shared.connections.all();
    all.extend(shared.subscribed.all());
    all.extend(shared.idle.all());
    all.retain(|connection| !connection.is_closing());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Number of connections that each turn of a window closes.
    fn turns(mut open: usize, window: Duration) -> Vec<usize> {
        let mut closed = Vec::new();
        let mut elapsed = Duration::ZERO;
        while open > 0 {
            closed.push(share(open, turns_left(elapsed, window)));
            open -= closed.last().unwrap();
            elapsed += TURN;
        }
        closed
    }

    proptest! {
        #[test]
        fn all_go_within_the_window_and_evenly(open in 0usize..200_000, window in 0u64..60_000) {
            let window = Duration::from_millis(window);
            let closed = turns(open, window);
            prop_assert_eq!(closed.iter().sum::<usize>(), open);
            prop_assert!(closed.len() <= turns_left(Duration::ZERO, window).max(1));
            let (max, min) = (closed.iter().max().copied().unwrap_or(0), closed.iter().min().copied().unwrap_or(0));
            prop_assert!(max - min <= 1, "{:?}", closed);
        }

        #[test]
        fn who_comes_late_or_leaves_early_changes_no_end(
            open in 0usize..10_000,
            window in 1u64..10_000,
            changes in prop::collection::vec(-50isize..50, 0..300),
        ) {
            let window = Duration::from_millis(window);
            let mut changes = changes.into_iter();
            let (mut open, mut elapsed) = (open, Duration::ZERO);
            while elapsed < window {
                open -= share(open, turns_left(elapsed, window));
                elapsed += TURN;
                if elapsed < window {
                    open = open.saturating_add_signed(changes.next().unwrap_or(0));
                }
            }
            prop_assert_eq!(open, 0);
        }
    }

    #[test]
    fn without_a_window_all_go_at_once() {
        assert_eq!(turns(1_000, Duration::ZERO), [1_000]);
        assert_eq!(turns(0, Duration::from_secs(10)), [0; 0]);
    }
}
