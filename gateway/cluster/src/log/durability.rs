//! The durability that an append must have before it is acknowledged.

/// A room's rule names one; the acknowledgement says which was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Durability {
    /// The back end has it: in Redis the master, in its memory. How much of that survives a crash or a failover is up
    /// to Redis's own settings.
    #[default]
    Memory,
    /// A replica has it, too.
    Replica,
    /// The master has written it to its disk, and synced it.
    Disk,
}

impl Durability {
    /// Those that need more than the append itself.
    pub const BEYOND_MEMORY: [Self; 2] = [Self::Replica, Self::Disk];

    /// Parses `memory`, `replica` or `disk`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Memory, Self::Replica, Self::Disk].into_iter().find(|durability| durability.as_str() == text)
    }

    /// As in settings, acknowledgements and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Replica => "replica",
            Self::Disk => "disk",
        }
    }
}

/// A durability that a back end cannot give at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The durability.
    pub durable: Durability,
    /// The Redis, without its login; empty for a cluster in memory.
    pub server: String,
    /// The cause, and the setting to change.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_nothing_else() {
        for durability in [Durability::Memory, Durability::Replica, Durability::Disk] {
            assert_eq!(Durability::parse(durability.as_str()), Some(durability));
        }
        for wrong in ["", "Disk", "disk ", "fsync", "all"] {
            assert_eq!(Durability::parse(wrong), None, "{wrong}");
        }
    }
}
