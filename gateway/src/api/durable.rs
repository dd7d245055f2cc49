//! The durability that a stored message has reached, in answers to backends.

use jackfield_cluster::log::Durability;
use serde::Serialize;
use utoipa::ToSchema;

/// The durability that it has reached, as the rule of the room or feed wants it: the memory of Redis, a replica of it, or its disk.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Durable {
    /// The Redis that stores it.
    Memory,
    /// A replica of it, too.
    Replica,
    /// Its disk.
    Disk,
}

impl From<Durability> for Durable {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Memory => Self::Memory,
            Durability::Replica => Self::Replica,
            Durability::Disk => Self::Disk,
        }
    }
}
