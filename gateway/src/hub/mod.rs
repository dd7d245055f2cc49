//! The hub: this node's namespaces and their members, and fan-out to them.
//!
//! Guarantees: frames that are fanned out to a namespace one after the other reach every member in that order; a frame
//! is encoded once and shared; no lock is held across an await; a member whose queue is full is closed, and no other
//! member waits for it. Knows neither the bus, nor Redis, nor the rest of the cluster.

mod namespace;
mod watchers;

use std::{collections::HashMap, sync::Arc};

pub use self::{
    namespace::{Member, MemberKey, Namespace},
    watchers::{MAX_WATCHED, Watchers},
};

/// The namespaces of a node, fixed at its start.
pub struct Hub {
    namespaces: HashMap<Arc<str>, Arc<Namespace>>,
    /// The users whose presence each member watches.
    pub watchers: Watchers,
}

impl Hub {
    /// A hub with these namespaces.
    #[must_use]
    pub fn new(names: &[&str]) -> Self {
        let namespaces = names.iter().map(|name| (Arc::from(*name), Arc::new(Namespace::new(name)))).collect();
        Self { namespaces, watchers: Watchers::default() }
    }

    /// The namespace of this name, if there is one.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.namespaces.get(name)
    }

    /// All namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.namespaces.values()
    }
}
