//! A notice on its way over the bus, with the span that it was sent in if that is recorded: `T`, the span's [`Origin`],
//! and the notice. Without a recorded span it is the bare notice, and costs nothing.

use bytes::{BufMut as _, Bytes, BytesMut};
use jackfield_shared::trace::Origin;

const TRACED: u8 = b'T';

/// The prefix of a notice that is sent now; empty if no span is recorded.
#[must_use]
pub fn prefix() -> Bytes {
    let Some(origin) = Origin::current() else { return Bytes::new() };
    let mut out = BytesMut::with_capacity(1 + Origin::LENGTH);
    out.put_u8(TRACED);
    out.put_slice(&origin.to_bytes());
    out.freeze()
}

/// Puts [`prefix`] before a notice that is sent now.
#[must_use]
pub fn enclose(notice: Bytes) -> Bytes {
    let prefix = prefix();
    if prefix.is_empty() { notice } else { [prefix, notice].concat().into() }
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
    use crate::cluster::notice::Notice;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_open_without_panic(bytes: Vec<u8>) {
            let _ = open(bytes.into());
        }

        #[test]
        fn what_was_put_before_a_notice_is_taken_off(origin: [u8; Origin::LENGTH]) {
            let notice = Notice::Left { profile: "{}".into() }.encode();
            let carried = [&[TRACED][..], &origin, &notice].concat();
            prop_assert_eq!(open(carried.into()), (Origin::from_bytes(origin), notice));
        }
    }

    #[test]
    fn without_a_trace_a_notice_is_itself() {
        let notice = Notice::RosterWanted.encode();
        assert_eq!(enclose(notice.clone()), notice);
        assert_eq!(open(notice.clone()), (None, notice));
    }
}
