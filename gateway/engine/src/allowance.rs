//! The bytes that a client may send before a namespace admits it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Bytes that a connection may send before its first CONNECT.
const BEFORE_CONNECT: u32 = 16 * 1024;
/// Bytes that a connection may send until a namespace admits it: enough for several CONNECTs with long tokens.
const BEFORE_ADMISSION: u32 = 64 * 1024;

/// See the module.
#[derive(Default)]
pub(crate) struct Allowance {
    /// Bytes read, until the connection is admitted.
    read: AtomicU32,
    connect_seen: AtomicBool,
    admitted: AtomicBool,
}

impl Allowance {
    /// The client sent a CONNECT.
    pub(crate) fn connect_seen(&self) {
        self.connect_seen.store(true, Ordering::Release);
    }

    /// A namespace admitted the connection.
    pub(crate) fn admitted(&self) {
        self.admitted.store(true, Ordering::Release);
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Acquire)
    }

    /// Counts received bytes. False if a connection that no namespace has admitted has sent more than it may.
    pub(crate) fn may_read(&self, bytes: usize) -> bool {
        if self.is_admitted() {
            return true;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let read = self.read.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        read <= self.limit()
    }

    /// Bytes that the connection may still send in one message, at most `max`.
    pub(crate) fn may_still_read(&self, max: usize) -> usize {
        match self.is_admitted() {
            true => max,
            false => max.min(self.limit().saturating_sub(self.read.load(Ordering::Acquire)) as usize),
        }
    }

    fn limit(&self) -> u32 {
        if self.connect_seen.load(Ordering::Acquire) { BEFORE_ADMISSION } else { BEFORE_CONNECT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_limited_until_admission_and_more_so_before_a_connect() {
        let allowance = Allowance::default();
        assert!(allowance.may_read(16 * 1024) && !allowance.may_read(1));
        allowance.connect_seen();
        assert_eq!(allowance.may_still_read(1_000_000), 48 * 1024 - 1);
        assert!(allowance.may_read(48 * 1024 - 1) && !allowance.may_read(1));
        allowance.admitted();
        assert!(allowance.may_read(1_000_000) && allowance.may_still_read(1_000_000) == 1_000_000);
    }
}
