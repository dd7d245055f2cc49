//! The envelope of a message on the bus: `T`, the [`Origin`] of the span that it was sent in, and the message. Without
//! a recorded span there is no envelope, only the message.

use bytes::{BufMut as _, Bytes, BytesMut};
use jackfield_shared::trace::Origin;

const TRACED: u8 = b'T';

/// The envelope's bytes in front of a message that is sent now; empty if no span is recorded.
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
        fn an_enclosed_message_opens_to_origin_and_message(origin: [u8; Origin::LENGTH]) {
            let message = BusMessage::RosterRequest.encode();
            let enveloped = [&[TRACED][..], &origin, &message].concat();
            prop_assert_eq!(open(enveloped.into()), (Origin::from_bytes(origin), message));
        }
    }

    #[test]
    fn without_a_span_a_message_is_not_changed() {
        let message = BusMessage::RosterRequest.encode();
        assert_eq!(enclose(message.clone()), message);
        assert_eq!(open(message.clone()), (None, message));
    }
}
