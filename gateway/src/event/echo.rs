//! `echo`: the acknowledgement repeats all arguments as the client wrote them. For measuring the round trip; no other
//! socket gets it.

use jackfield_engine::Frame;

use super::{Addressee, parse::Event};

pub(super) fn handle(to: &dyn Addressee, event: &Event<'_>, ack: Option<i64>) {
    if let Some(id) = ack {
        to.send(&Frame::ack_with(to.namespace(), id, event.arguments(), event.parts));
    }
}
