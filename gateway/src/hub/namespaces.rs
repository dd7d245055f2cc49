//! This node's namespaces.

use std::{collections::HashMap, sync::Arc};

use super::{Group, Member};

/// A namespace and its members on this node.
pub(crate) struct Namespace<M> {
    /// Begins with `/`.
    pub(crate) name: Arc<str>,
    pub(crate) members: Group<M>,
}

/// The namespaces of a node, fixed at its start.
pub(crate) struct Namespaces<M>(HashMap<Arc<str>, Arc<Namespace<M>>>);

impl<M: Member> Namespaces<M> {
    pub(crate) fn new(names: &[&str]) -> Self {
        let namespace = |name: &&str| {
            let name: Arc<str> = (*name).into();
            (Arc::clone(&name), Arc::new(Namespace { name, members: Group::default() }))
        };
        Self(names.iter().map(namespace).collect())
    }

    /// The namespace of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Namespace<M>>> {
        self.0.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Namespace<M>>> {
        self.0.values()
    }
}
