//! The [mailbox](super::mailbox) with real threads. Its every interleaving: `tests/it/interleavings.rs`, which compiles the
//! mailbox once more, and therefore must not find tests in it.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::mailbox::*;

/// Handles inputs as a room does; `handled` is this worker's own.
fn put(mailbox: &Mailbox<Vec<(usize, usize)>, (usize, usize)>, input: (usize, usize), working: &AtomicUsize) {
    let mut arrived = Vec::new();
    let (mut worker, first) = match mailbox.put(input, false) {
        Put::Start(worker, first) => (worker, first),
        Put::Queued => return,
        Put::Full | Put::Closed => panic!("neither limited nor closed"),
    };
    arrived.push(first);
    loop {
        assert_eq!(working.fetch_add(1, Ordering::SeqCst), 0, "two callers have the worker");
        worker.append(&mut arrived);
        working.fetch_sub(1, Ordering::SeqCst);
        match mailbox.rest(worker, &mut arrived, || false) {
            None => return,
            Some(more) => worker = more,
        }
    }
}

#[test]
fn inputs_of_many_threads_are_all_handled_in_order_by_one_at_a_time() {
    const THREADS: usize = 4;
    const EACH: usize = 20_000;
    let (mailbox, working) = (Mailbox::new(Vec::new()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (mailbox, working) = (&mailbox, &working);
            scope.spawn(move || (0..EACH).for_each(|number| put(mailbox, (thread, number), working)));
        }
    });
    let handled = mailbox.take().expect("it rests after the last input");
    for thread in 0..THREADS {
        let of_thread = handled.iter().filter(|(of, _)| *of == thread).map(|(_, number)| *number);
        assert!(of_thread.eq(0..EACH));
    }
}

#[test]
fn only_limited_inputs_are_refused_and_a_closed_mailbox_takes_none() {
    let mailbox = Mailbox::<(), usize>::new(());
    let worker = mailbox.take().unwrap();
    assert!(mailbox.take().is_none());
    for number in 0..LIMIT {
        assert!(matches!(mailbox.put(number, true), Put::Queued));
    }
    assert!(matches!(mailbox.put(LIMIT, true), Put::Full));
    assert!(matches!(mailbox.put(LIMIT, false), Put::Queued));
    assert!(!mailbox.close(), "inputs wait");
    let mut arrived = Vec::new();
    let mut worker = Some(worker);
    let mut handled = 0;
    while let Some(working) = worker {
        worker = mailbox.rest(working, &mut arrived, || false);
        let end = handled + arrived.len();
        assert!(arrived.len() <= AT_ONCE);
        assert!(arrived.drain(..).eq(handled..end));
        handled = end;
    }
    assert_eq!(handled, LIMIT + 1);
    let worker = mailbox.take().unwrap();
    assert!(mailbox.rest(worker, &mut arrived, || true).is_some(), "there is more to do");
    assert!(mailbox.close());
    assert!(matches!(mailbox.put(0, false), Put::Closed));
    assert!(mailbox.take().is_none());
}
