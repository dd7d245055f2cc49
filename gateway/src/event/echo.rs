//! `echo`: the acknowledgement is what was sent, all of it as it was written. For measuring the way there and back; nobody
//! else hears it.

use super::{Addressee, parse::Event};
use crate::engine::Frame;

pub(super) fn handle(to: &dyn Addressee, event: &Event<'_>, ack: Option<i64>) {
    if let Some(id) = ack {
        to.send(&Frame::ack_with(to.namespace(), id, event.arguments(), event.parts.cloned()));
    }
}
