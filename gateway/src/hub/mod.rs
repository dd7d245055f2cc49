//! The members on this node, and fan-out to them.
//!
//! [`Group`]: the members of a namespace, a room or a feed · [`Namespaces`]: the groups by namespace · [`Watchers`]: the
//! users whose presence each member watches. Deliberately knows neither the bus, nor Redis, nor what a member is.

mod group;
mod namespaces;
mod watchers;

pub(crate) use self::{
    group::{Group, Member},
    namespaces::{Namespace, Namespaces},
    watchers::{MAX_WATCHED, Watchers},
};
