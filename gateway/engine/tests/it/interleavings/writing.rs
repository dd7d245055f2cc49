//! A frame that was sent is written, by the flusher or by the task that a full socket left.

use std::sync::Arc;

use loom::thread;

use super::{
    sync::{Mutex, model, run},
    turn::{Turn, Unsent},
};

struct Wire {
    state: Mutex<State>,
    unsent: Arc<Unsent<Wire>>,
    /// Frames that the socket accepts at once.
    accepts: usize,
}

#[derive(Default)]
struct State {
    turn: Turn,
    queued: usize,
    written: usize,
    /// Tasks that write the rest.
    writers: Vec<thread::JoinHandle<()>>,
}

impl Wire {
    fn new(unsent: &Arc<Unsent<Self>>, accepts: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()), unsent: Arc::clone(unsent), accepts })
    }

    fn send(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.queued += 1;
        if state.turn.queued() {
            self.unsent.list(self);
        }
    }

    fn flush(self: &Arc<Self>) {
        if self.write() {
            let wire = Arc::clone(self);
            let writer = thread::spawn(move || while wire.write() {});
            self.state.lock().writers.push(writer);
        }
    }

    /// Returns whether there is more.
    fn write(&self) -> bool {
        let mut state = self.state.lock();
        let written = state.queued.min(self.accepts);
        state.queued -= written;
        state.written += written;
        let is_done = state.queued == 0;
        state.turn.written(is_done);
        !is_done
    }
}

/// The flusher, until it has flushed `last`.
fn flush_until(last: &Arc<Wire>) {
    let (unsent, mut batch, mut is_over) = (&last.unsent, Vec::new(), false);
    while !is_over {
        run(unsent.begun());
        unsent.take(&mut batch);
        batch.iter().for_each(Wire::flush);
        is_over = batch.iter().any(|wire| Arc::ptr_eq(wire, last));
        batch.clear();
    }
}

/// Sends so many frames to each of two connections, from two threads; `sockets` accept so many at once.
fn all_are_written(frames: [usize; 2], sockets: [usize; 2]) {
    model(move || {
        let unsent = Arc::new(Unsent::new());
        let wires = sockets.map(|accepts| Wire::new(&unsent, accepts));
        let last = Wire::new(&unsent, 1);
        let flusher = {
            let last = Arc::clone(&last);
            thread::spawn(move || flush_until(&last))
        };
        let sender = {
            let wires = wires.clone();
            thread::spawn(move || (0..frames[0]).for_each(|number| wires[number % 2].send()))
        };
        (0..frames[1]).for_each(|number| wires[number % 2].send());
        sender.join().unwrap();
        // Listed after all others: if the flusher gets here, no wake was lost.
        last.send();
        flusher.join().unwrap();
        let mut written = 0;
        for wire in wires {
            let writers = std::mem::take(&mut wire.state.lock().writers);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            let state = wire.state.lock();
            assert_eq!(state.queued, 0, "a frame was sent and nobody writes it");
            written += state.written;
        }
        assert_eq!(written, frames[0] + frames[1]);
    });
}

#[test]
fn frames_of_two_senders_are_flushed() {
    all_are_written([2, 2], [9, 9]);
}

#[test]
fn frames_are_written_after_those_that_a_socket_did_not_accept() {
    all_are_written([1, 3], [1, 9]);
}
