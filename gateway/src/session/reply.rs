//! Answers to events.

use jackfield_engine::Frame;
use jackfield_shared::trace;
use serde::Serialize;

use super::EventError;
use crate::metrics;

/// The receiver of an answer: a socket in a namespace, or a feed's subscriber.
pub(crate) trait Addressee: Send + Sync {
    /// Its namespace's name.
    fn namespace(&self) -> &str;

    /// Sends a frame. Aborts the connection of a socket whose queue has no room for it.
    fn send(&self, frame: &Frame);
}

/// The `error` event that reports an error of `event`.
pub(crate) fn error_frame(to: &dyn Addressee, error: &EventError, event: &str) -> Option<Frame> {
    Frame::event(to.namespace(), "error", &error.body(Some(event)))
}

/// Answers an event with an error: in the acknowledgement if the client asked for one, else as an `error` event.
pub(crate) fn answer(to: &dyn Addressee, ack: Option<i64>, error: &EventError, event: &str) {
    metrics::EVENTS.add_for([error.label()], 1);
    trace::note("error.type", error.label());
    match ack {
        Some(id) => acknowledge(to, id, &error.body(None)),
        None => {
            if let Some(frame) = error_frame(to, error, event) {
                to.send(&frame);
            }
        }
    }
}

/// Acknowledges an event.
pub(crate) fn acknowledge<T: Serialize + ?Sized>(to: &dyn Addressee, id: i64, data: &T) {
    if let Some(frame) = Frame::ack(to.namespace(), id, data) {
        to.send(&frame);
    }
}
