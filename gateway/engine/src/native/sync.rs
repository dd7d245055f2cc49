//! The lock and the wake of the parts that loom tests: `tests/it/loom` compiles these files with loom's in their place.

pub(super) use parking_lot::Mutex;
pub(super) use tokio::sync::Notify;
