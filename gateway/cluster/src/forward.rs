//! What the enum of a port does with most calls.

/// Calls the same method of either variant of a port. The one in memory answers at once.
macro_rules! forward {
    ($port:ident.$method:ident($($argument:expr),* $(,)?)) => {
        match $port {
            Self::Memory(port) => port.$method($($argument),*),
            Self::Redis(port) => port.$method($($argument),*).await,
        }
    };
}
pub(crate) use forward;
