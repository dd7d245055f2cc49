//! The ports that rooms use.

use jackfield_cluster::{bus::Bus, log::Log};

/// See the module.
pub(super) struct BackEnd {
    pub(super) bus: Bus,
    pub(super) log: Log,
}
