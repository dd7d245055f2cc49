//! The drain: the node makes its clients reconnect elsewhere, then stops everything.
//!
//! After the first signal the node is unready but serves as before for `drain.delay`, as balancers have yet to notice.
//! Then it refuses new handshakes and closes the transports, spread evenly over `drain.window`, so as not to storm the
//! other nodes. It sends no DISCONNECT for joined namespaces, so that stock clients come back by themselves.
//!
//! Guarantees: packets that came before the node lets a connection go are handled and answered before its transport is
//! closed, as far as possible within [`LAST_WORD`]; later packets are not acknowledged, and so nothing acknowledged is
//! lost. Sessions are released the usual way, so that a client that is back within the grace was never away. The node
//! stops once all connections are gone; a client that does not read, or a back end that is away, cannot delay this for
//! longer than [`LAST_WORD`] and [`AFTERMATH`] beyond the window.

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
const LAST_WORD: Duration = Duration::from_secs(3);
/// How long transports may take to be gone after the last was closed, and sessions to be released.
const AFTERMATH: Duration = Duration::from_secs(4);
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
    shared.readiness.turn_away();
    send_away(shared, window).await;
    let aftermath = async {
        while shared.limiter.count() > 0 || !shared.releases.is_settled() {
            sleep(CHECK_EVERY).await;
        }
    };
    // Clients that remain do not read, and the survivors release the rest.
    let _ = tokio::time::timeout(AFTERMATH, aftermath).await;
}

async fn send_away(shared: &Shared, window: Duration) {
    let began = Instant::now();
    let mut here = staying(shared);
    let mut going = Vec::new();
    loop {
        let count = share(here.len(), turns_left(began.elapsed(), window));
        metrics::DRAINED.add(count);
        let leaving = here.split_off(here.len() - count);
        for batch in leaving.chunks(BATCH) {
            for connection in batch {
                connection.stop_accepting();
            }
            tokio::task::yield_now().await;
        }
        let since = Instant::now();
        going.extend(leaving.into_iter().map(|connection| (connection, since)));
        close_finished(shared, &mut going).await;
        if here.is_empty() && going.is_empty() {
            // Connections whose handshake was answered before others were refused, and that had joined nothing.
            here = staying(shared);
            if here.is_empty() {
                return;
            }
        }
        sleep(TURN).await;
    }
}

/// Closes connections whose answers are sent, or that have taken longer than [`LAST_WORD`].
async fn close_finished(shared: &Shared, going: &mut Vec<(Arc<Connection>, Instant)>) {
    for (connection, since) in std::mem::take(going) {
        let finished = connection.is_finished();
        if !finished && since.elapsed() < LAST_WORD {
            going.push((connection, since));
            continue;
        }
        // A client that only does not read, such as one whose poll a balancer sent elsewhere, leaves no claim behind.
        if !connection.is_handled() {
            shared.releases.cut_short();
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

/// How many of `here` connections to close in this turn, so that none is left after the last.
fn share(here: usize, turns: usize) -> usize {
    here.div_ceil(turns.max(1))
}

/// Every connection, in a namespace or not, that is not closing yet.
fn staying(shared: &Shared) -> Vec<Arc<Connection>> {
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
    fn turns(mut here: usize, window: Duration) -> Vec<usize> {
        let mut gone = Vec::new();
        let mut elapsed = Duration::ZERO;
        while here > 0 {
            gone.push(share(here, turns_left(elapsed, window)));
            here -= gone.last().unwrap();
            elapsed += TURN;
        }
        gone
    }

    proptest! {
        #[test]
        fn all_go_within_the_window_and_evenly(here in 0usize..200_000, window in 0u64..60_000) {
            let window = Duration::from_millis(window);
            let gone = turns(here, window);
            prop_assert_eq!(gone.iter().sum::<usize>(), here);
            prop_assert!(gone.len() <= turns_left(Duration::ZERO, window).max(1));
            let (most, least) = (gone.iter().max().copied().unwrap_or(0), gone.iter().min().copied().unwrap_or(0));
            prop_assert!(most - least <= 1, "{:?}", gone);
        }

        #[test]
        fn who_comes_late_or_leaves_early_changes_no_end(
            here in 0usize..10_000,
            window in 1u64..10_000,
            changes in prop::collection::vec(-50isize..50, 0..300),
        ) {
            let window = Duration::from_millis(window);
            let mut changes = changes.into_iter();
            let (mut here, mut elapsed) = (here, Duration::ZERO);
            while elapsed < window {
                here -= share(here, turns_left(elapsed, window));
                elapsed += TURN;
                if elapsed < window {
                    here = here.saturating_add_signed(changes.next().unwrap_or(0));
                }
            }
            prop_assert_eq!(here, 0);
        }
    }

    #[test]
    fn without_a_window_all_go_at_once() {
        assert_eq!(turns(1_000, Duration::ZERO), [1_000]);
        assert_eq!(turns(0, Duration::from_secs(10)), [0; 0]);
    }
}
