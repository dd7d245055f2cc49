//! The part of a client's bytes that is kept between two reads.

use crate::{packet::Decoder, websocket::incoming::Incoming};

/// See the module. Without memory of its own while no packet is incomplete.
#[derive(Default)]
pub(super) struct Input {
    pub(super) decoder: Decoder,
    /// A message of which a part has arrived.
    pub(super) partial: Option<Box<Incoming>>,
}

impl Input {
    /// Bytes of memory that an incomplete message holds.
    pub(super) fn held(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| size_of::<Incoming>() + partial.held())
    }
}
