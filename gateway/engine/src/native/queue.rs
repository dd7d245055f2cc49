//! The frames that wait for one client, in order. Pure.
//!
//! Guarantees: a write may end anywhere inside a frame; a frame's bytes count until its last one is written; an empty
//! queue has no memory of its own, and one frame needs none.

use std::{collections::VecDeque, io::IoSlice};

use crate::Frame;

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    first: Option<Frame>,
    rest: VecDeque<Frame>,
    /// Bytes of the first frame that were written.
    written: usize,
    /// [`Frame::bytes`] of all frames.
    bytes: usize,
}

impl Queue {
    /// [`Frame::bytes`] of all frames that were not written in full yet.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames that were not written in full yet.
    pub(super) fn frames(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes();
        match self.first {
            None => self.first = Some(frame),
            Some(_) => self.rest.push_back(frame),
        }
    }

    /// Removes the first frame.
    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = self.first.take()?;
        self.written = 0;
        self.bytes -= frame.bytes();
        self.first = self.rest.pop_front();
        if self.rest.is_empty() {
            // Connections are idle most of the time: free the memory that a burst needed.
            self.rest = VecDeque::new();
        }
        Some(frame)
    }

    /// The bytes to write if only one frame waits.
    pub(super) fn only(&self) -> Option<&[u8]> {
        let frame = self.first.as_ref().filter(|_| self.rest.is_empty())?;
        Some(&frame.wire()[self.written..])
    }

    /// Fills `slices` with the next bytes to write; returns how many of them it filled.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let frames = self.first.iter().chain(&self.rest);
        let mut skip = self.written;
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(frames) {
            *slice = IoSlice::new(&frame.wire()[std::mem::take(&mut skip)..]);
            count += 1;
        }
        count
    }

    /// These bytes were written. Returns what the frames that they completed counted.
    pub(super) fn wrote(&mut self, bytes: usize) -> usize {
        let (before, mut left) = (self.bytes, bytes);
        while let Some(frame) = &self.first {
            let here = frame.wire().len() - self.written;
            if left < here {
                self.written += left;
                break;
            }
            left -= here;
            self.pop();
        }
        before - self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Push(usize),
        Write(usize),
        Pop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![(0usize..300).prop_map(Step::Push), (0usize..700).prop_map(Step::Write), Just(Step::Pop)]
    }

    proptest! {
        /// Against a list of the frames and a string of the bytes that wait.
        #[test]
        fn bytes_leave_in_order_and_are_counted(steps in prop::collection::vec(step(), 0..80)) {
            let (mut queue, mut frames, mut next) = (Queue::default(), VecDeque::<Frame>::new(), 0u8);
            // Bytes of the first frame that were written.
            let mut written = 0;
            for step in steps {
                match step {
                    Step::Push(length) => {
                        next = (next + 1) % 26;
                        let frame = Frame::raw_text(&char::from(b'a' + next).to_string().repeat(length));
                        frames.push_back(frame.clone());
                        queue.push(frame);
                    }
                    Step::Write(most) => {
                        let mut slices = [IoSlice::new(&[]); 4];
                        let count = queue.slices(&mut slices);
                        prop_assert_eq!(count, frames.len().min(4));
                        let offered: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                        let wire: Vec<u8> = frames.iter().take(4).flat_map(|frame| frame.wire().to_vec()).collect();
                        prop_assert_eq!(&offered[..], &wire[written..]);
                        let most = most.min(offered.len());
                        let before = queue.bytes();
                        prop_assert_eq!(queue.wrote(most), before - queue.bytes());
                        written += most;
                        while frames.front().is_some_and(|frame| frame.wire().len() <= written) {
                            written -= frames.pop_front().unwrap().wire().len();
                        }
                    }
                    Step::Pop => {
                        written = 0;
                        prop_assert_eq!(queue.pop(), frames.pop_front());
                    }
                }
                prop_assert_eq!(queue.bytes(), frames.iter().map(Frame::bytes).sum::<usize>());
                prop_assert_eq!((queue.frames(), queue.is_empty()), (frames.len(), frames.is_empty()));
            }
            queue.clear();
            prop_assert_eq!((queue.bytes(), queue.frames()), (0, 0));
        }
    }
}
