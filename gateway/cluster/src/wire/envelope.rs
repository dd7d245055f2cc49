//! A message on its way over the bus, with the span that it was sent in if that is recorded: `T`, the span's [`Origin`],
//! and the message. Without a recorded span it is the bare message, and costs nothing.

use bytes::{BufMut as _, Bytes, BytesMut};
use jackfield_shared::trace::Origin;

const TRACED: u8 = b'T';

/// The prefix of a message that is sent now; empty if no span is recorded.
#[must_use]
pub fn prefix() -> Bytes {
    let Some(origin) = Origin::current() else { return Bytes::new() };
    let mut out = BytesMut::with_capacity(1 + Origin::LENGTH);
    out.put_u8(TRACED);
    out.put_slice(&origin.to_bytes());
    out.freeze()
}

/// Puts [`prefix`] before a message that is sent now.
#[must_use]
pub fn enclose(message: Bytes) -> Bytes {
    let prefix = prefix();
    if prefix.is_empty() { message } else { [prefix, message].concat().into() }
}

/// The reverse of [`enclose`].
#[must_use]
pub fn open(payload: Bytes) -> (Option<Origin>, Bytes) {
    match payload.split_first() {
        Some((&TRACED, rest)) => match rest.first_chunk() {
            Some(origin) => (Origin::from_bytes(*origin), payload.slice(1 + Origin::LENGTH..)),
            None => (None, Bytes::new()),
        },
        _ => (None, payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::BusMessage;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_open_without_panic(bytes: Vec<u8>) {
            let _ = open(bytes.into());
        }

        #[test]
        fn what_was_put_before_a_message_is_taken_off(origin: [u8; Origin::LENGTH]) {
            let message = BusMessage::RosterRequest.encode();
            let enveloped = [&[TRACED][..], &origin, &message].concat();
            prop_assert_eq!(open(enveloped.into()), (Origin::from_bytes(origin), message));
        }
    }

    #[test]
    fn without_a_trace_a_message_is_itself() {
        let message = BusMessage::RosterRequest.encode();
        assert_eq!(enclose(message.clone()), message);
        assert_eq!(open(message.clone()), (None, message));
    }
}
