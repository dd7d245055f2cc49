//! A session is told of its connection's end once, with the first reason, and not while it receives.

use std::sync::Arc;

use loom::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use super::{
    life::{Life, Phase},
    sync::{Mutex, model},
};

type Reason = usize;

struct Wire {
    state: Mutex<State>,
    spy: Arc<Session>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    life: Life<Reason>,
    first: Option<Reason>,
}

/// Sees itself whether it is used as promised.
#[derive(Default)]
struct Session {
    receives: AtomicBool,
    told: AtomicUsize,
    reason: AtomicUsize,
}

impl Session {
    fn receive(&self) {
        assert!(!self.receives.swap(true, Ordering::SeqCst), "two threads pass packets");
        assert_eq!(self.told.load(Ordering::SeqCst), 0, "a packet after the end");
        self.receives.store(false, Ordering::SeqCst);
    }

    fn closed(&self, reason: Reason) {
        assert!(!self.receives.load(Ordering::SeqCst), "told while it receives");
        assert_eq!(self.told.fetch_add(1, Ordering::SeqCst), 0, "told twice");
        self.reason.store(reason, Ordering::SeqCst);
    }
}

fn tell(ending: Option<(Arc<Session>, Reason)>) {
    if let Some((session, reason)) = ending {
        session.closed(reason);
    }
}

impl Wire {
    fn begin(&self) {
        let ending = {
            let state = &mut *self.state.lock();
            state.life.begin(&mut state.session, Arc::clone(&self.spy))
        };
        tell(ending);
    }

    fn receive(&self) {
        let session = {
            let state = &mut *self.state.lock();
            state.life.begin_receiving(&state.session)
        };
        let Some(session) = session else { return };
        session.receive();
        let ending = {
            let state = &mut *self.state.lock();
            state.life.end_receiving(&mut state.session)
        };
        tell(ending);
    }

    fn close(&self, reason: Reason) {
        let state = &mut *self.state.lock();
        if state.life.phase() == Phase::Open {
            state.life.close(reason);
            state.first.get_or_insert(reason);
        }
    }

    /// The queue is written.
    fn write(&self) {
        let ending = {
            let state = &mut *self.state.lock();
            let closes = state.life.phase() == Phase::Closing;
            closes.then(|| state.life.linger(&mut state.session)).flatten()
        };
        tell(ending);
    }

    fn end(&self, reason: Reason) {
        let ending = {
            let state = &mut *self.state.lock();
            if state.life.phase() == Phase::Ended {
                return;
            }
            state.first.get_or_insert(reason);
            state.life.end(&mut state.session, reason)
        };
        tell(ending);
    }
}

/// Runs these on a connection at the same time; at least one of them ends it.
fn told_once<const THREADS: usize>(threads: [fn(&Wire); THREADS]) {
    model(move || {
        let wire = Arc::new(Wire { state: Mutex::new(State::default()), spy: Arc::default() });
        let others = threads.map(|run| {
            let wire = Arc::clone(&wire);
            thread::spawn(move || run(&wire))
        });
        // Its session is made while the transport may end already.
        wire.begin();
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(wire.spy.told.load(Ordering::SeqCst), 1, "the session is told of the end");
        assert_eq!(Some(wire.spy.reason.load(Ordering::SeqCst)), wire.state.lock().first, "with the first reason");
    });
}

#[test]
fn an_end_while_packets_arrive() {
    told_once([
        |wire| {
            wire.receive();
            wire.receive();
        },
        |wire| wire.end(1),
    ]);
}

#[test]
fn two_readers_and_an_end() {
    told_once([Wire::receive, Wire::receive, |wire| wire.end(1)]);
}

#[test]
fn a_close_whose_queue_is_written_and_an_end() {
    told_once([
        Wire::receive,
        |wire| {
            wire.close(1);
            wire.write();
        },
        |wire| wire.end(2),
    ]);
}
