//! The drain: the node makes its clients reconnect to other nodes, then stops.
//!
//! After the first signal the node reports unready but serves as before for `drain.delay`, while load balancers take it
//! out. Then it refuses new handshakes and closes the transports, spread evenly over `drain.window`, so that the other
//! nodes get no burst of reconnects. It sends no DISCONNECT for joined namespaces, so that stock clients reconnect by
//! themselves. Over the same time it ends what it passes on for clients of other nodes; what other nodes pass on is
//! answered until the end.
//!
//! Guarantees: packets received before a connection's turn are handled and answered before its transport is closed, if
//! that takes no longer than [`FINISH_WITHIN`]; later packets are not acknowledged, so nothing acknowledged is lost.
//! Sessions are released as usual, so a client that reconnects within the grace is not announced. The node stops once
//! all connections are closed; a client that does not read, or a back end that does not answer, delays this by no more
//! than [`FINISH_WITHIN`] and [`CLEANUP_WITHIN`] beyond the window.

use std::{sync::Arc, time::Duration};

use jackfield_engine::CloseReason;
use tokio::time::{Instant, sleep};

use crate::{
    metrics,
    session::{Connection, Shared},
};

/// Time between two turns of closing connections.
const TURN: Duration = Duration::from_millis(50);
/// How long a connection may take to have its received events handled and answered.
const FINISH_WITHIN: Duration = Duration::from_secs(3);
/// How long it may take to end all transports and release all sessions, after the last close.
const CLEANUP_WITHIN: Duration = Duration::from_secs(4);
/// Time between two checks during the cleanup.
const CHECK_EVERY: Duration = Duration::from_millis(10);
/// Connections whose turn comes before the task yields.
const BATCH: usize = 512;

/// Waits until the process is leaving, closes all connections, and stops everything.
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
    // A heartbeat reports the drain to the other nodes: send one now.
    shared.lease.beat_now();
    sleep(delay).await;
    shared.readiness_flags.refuse_handshakes();
    let until = Instant::now() + window + FINISH_WITHIN;
    shared.relay.drain(window);
    close_connections(shared, window).await;
    let passing_on = async {
        while shared.relay.count() > 0 {
            sleep(CHECK_EVERY).await;
        }
    };
    let _ = tokio::time::timeout_at(until, passing_on).await;
    let cleanup = async {
        while shared.limiter.count() > 0 || !shared.releases.is_settled() {
            sleep(CHECK_EVERY).await;
        }
    };
    // Connections that remain after this belong to clients that do not read; other nodes release the remaining
    // sessions.
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
            // Connections of handshakes that were admitted before the refusals began, and that were in no namespace
            // yet.
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
        // Only unhandled packets can still claim something. A client that merely does not read, such as one whose polls
        // a load balancer sends elsewhere, cannot.
        if !connection.is_handled() {
            shared.releases.mark_incomplete();
        }
        connection.close(CloseReason::Draining);
    }
    tokio::task::yield_now().await;
}

/// Turns left in a window, including the current one; 0 when it is over.
fn turns_left(elapsed: Duration, window: Duration) -> usize {
    let left = window.saturating_sub(elapsed).as_nanos();
    usize::try_from(left.div_ceil(TURN.as_nanos())).unwrap_or(usize::MAX)
}

/// How many of the `open` connections to close in this turn, so that none is left after the last.
fn share(open: usize, turns: usize) -> usize {
    open.div_ceil(turns.max(1))
}

/// All connections, in a namespace or not, that are not closing yet.
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
        fn connections_close_evenly_within_the_window(open in 0usize..200_000, window in 0u64..60_000) {
            let window = Duration::from_millis(window);
            let closed = turns(open, window);
            prop_assert_eq!(closed.iter().sum::<usize>(), open);
            prop_assert!(closed.len() <= turns_left(Duration::ZERO, window).max(1));
            let (max, min) = (closed.iter().max().copied().unwrap_or(0), closed.iter().min().copied().unwrap_or(0));
            prop_assert!(max - min <= 1, "{:?}", closed);
        }

        #[test]
        fn connects_and_disconnects_meanwhile_do_not_delay_the_end(
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
    fn without_a_window_all_close_at_once() {
        assert_eq!(turns(1_000, Duration::ZERO), [1_000]);
        assert_eq!(turns(0, Duration::from_secs(10)), [0; 0]);
    }
}
