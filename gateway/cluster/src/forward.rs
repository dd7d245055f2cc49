//! Forwards most calls of a port to its variant.

/// Calls the same method of either variant of a port. The in-memory variant answers without waiting.
macro_rules! forward {
    ($port:ident.$method:ident($($argument:expr),* $(,)?)) => {
        match $port {
            Self::Memory(port) => port.$method($($argument),*),
            Self::Redis(port) => port.$method($($argument),*).await,
        }
    };
}
pub(crate) use forward;
