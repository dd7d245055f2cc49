//! The lock and the wake of the [mailbox](super::mailbox): a test with loom compiles it with loom's in their place.

pub(super) use parking_lot::Mutex;
pub(super) use tokio::sync::Notify;
