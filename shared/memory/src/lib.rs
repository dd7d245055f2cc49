//! Returns memory that a process no longer needs to the system. A crate of its own, because it calls the C library, and
//! unsafe code is forbidden everywhere else.
//!
//! Deliberately absent: another allocator. jemalloc and mimalloc return memory by themselves, but an idle socket takes
//! 8 to 10 % more with them.

/// Returns the whole free pages between live allocations. By itself glibc returns only the end of the heap. Takes about
/// a millisecond per megabyte returned, during which other threads that allocate wait. Does nothing with other C
/// libraries.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "there is no safe interface")]
    // SAFETY: it takes no pointer, and any thread may call it at any time (malloc_trim(3): MT-Safe).
    unsafe {
        libc::malloc_trim(0);
    }
}
