//! Every interleaving of three threads that put inputs into a room's mailbox, by loom: each input is handled once, in the
//! order of its caller, by one worker at a time.

#[path = "../../src/room/mailbox.rs"]
#[expect(dead_code, reason = "only what two callers do at the same time is tested here")]
mod mailbox;
#[path = "../../engine/tests/it/interleavings/sync.rs"]
mod sync;

use std::sync::Arc;

use loom::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use self::{
    mailbox::{Mailbox, Put},
    sync::model,
};

/// A caller, and the number of its input.
type Input = (usize, usize);

/// Notes what it handles.
#[derive(Default)]
struct Worker {
    handled: Vec<Input>,
}

/// A mailbox with its worker.
struct Room {
    mailbox: Mailbox<Worker, Input>,
    working: AtomicUsize,
}

impl Room {
    fn new() -> Arc<Self> {
        Arc::new(Self { mailbox: Mailbox::new(Worker::default()), working: AtomicUsize::new(0) })
    }

    /// Puts an input in, and lets the worker work if it rests.
    fn put(&self, input: Input) {
        match self.mailbox.put(input, false) {
            Put::Start(worker, first) => self.work(worker, vec![first]),
            Put::Queued | Put::Closed => {}
            Put::Full => panic!("not limited"),
        }
    }

    fn work(&self, worker: Box<Worker>, mut arrived: Vec<Input>) {
        let mut next = Some(worker);
        while let Some(mut worker) = next {
            assert_eq!(self.working.fetch_add(1, Ordering::SeqCst), 0, "two callers have the worker");
            worker.handled.append(&mut arrived);
            self.working.fetch_sub(1, Ordering::SeqCst);
            next = self.mailbox.rest(worker, &mut arrived, || false);
        }
    }

    /// The handled inputs. The worker rests.
    fn handled(&self) -> Vec<Input> {
        self.mailbox.take().expect("the worker rests").handled
    }
}

/// Each of these callers puts in so many inputs.
fn all_are_handled<const CALLERS: usize>(inputs: [usize; CALLERS]) {
    model(move || {
        let room = Room::new();
        let mut caller = 0;
        let callers = inputs.map(|count| {
            let (room, of) = (Arc::clone(&room), caller);
            caller += 1;
            thread::spawn(move || (0..count).for_each(|number| room.put((of, number))))
        });
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        let handled = room.handled();
        for (caller, count) in inputs.into_iter().enumerate() {
            let numbers = handled.iter().filter(|(of, _)| *of == caller).map(|(_, number)| *number);
            assert!(numbers.eq(0..count), "{handled:?}");
        }
    });
}

#[test]
fn inputs_of_two_callers_are_handled_once_and_in_order() {
    all_are_handled([3, 3]);
}

#[test]
fn inputs_of_three_callers_are_handled_once_and_in_order() {
    all_are_handled([1, 1, 2]);
}

/// A worker that waits for something else, as for the log, wakes for an input that arrives meanwhile.
#[test]
fn an_input_wakes_the_worker_that_waits() {
    model(|| {
        let room = Room::new();
        let worker = room.mailbox.take().expect("the worker rests");
        let caller = {
            let room = Arc::clone(&room);
            thread::spawn(move || room.put((0, 0)))
        };
        let (mut worker, mut arrived) = (Some(worker), Vec::new());
        while arrived.is_empty() {
            let waiting = worker.take().expect("it goes on while nothing has arrived");
            sync::run(room.mailbox.arrived());
            worker = room.mailbox.rest(waiting, &mut arrived, || true);
        }
        room.work(worker.expect("an input arrived"), arrived);
        caller.join().unwrap();
        assert_eq!(room.handled(), [(0, 0)]);
    });
}

/// A signal is set, and then the worker is taken if it rests: it sees the signal now, or before it rests.
#[test]
fn a_signal_is_seen_by_a_worker_that_is_about_to_rest() {
    model(|| {
        let room = Room::new();
        let (signal, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let work = {
            let (room, signal, seen) = (Arc::clone(&room), Arc::clone(&signal), Arc::clone(&seen));
            move |worker| {
                let mut next = Some(worker);
                while let Some(worker) = next {
                    if signal.load(Ordering::Acquire) {
                        signal.store(false, Ordering::Release);
                        seen.fetch_add(1, Ordering::Relaxed);
                    }
                    next = room.mailbox.rest(worker, &mut Vec::new(), || signal.load(Ordering::Acquire));
                }
            }
        };
        let worker = room.mailbox.take().expect("the worker rests");
        let other = {
            let (room, work) = (Arc::clone(&room), work.clone());
            thread::spawn(move || {
                signal.store(true, Ordering::Release);
                room.mailbox.take().into_iter().for_each(work);
            })
        };
        work(worker);
        other.join().unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 1);
    });
}

/// A worker closes its mailbox only if it leaves no input behind.
#[test]
fn an_input_is_handled_or_refused_by_a_mailbox_that_closes() {
    model(|| {
        let room = Room::new();
        let mut worker = room.mailbox.take().expect("the worker rests");
        let caller = {
            let room = Arc::clone(&room);
            thread::spawn(move || matches!(room.mailbox.put((0, 0), false), Put::Closed))
        };
        let mut arrived = Vec::new();
        while !room.mailbox.close() {
            worker = room.mailbox.rest(worker, &mut arrived, || true).expect("there is more to do");
        }
        let is_refused = caller.join().unwrap();
        assert_eq!(arrived.is_empty(), is_refused);
    });
}
