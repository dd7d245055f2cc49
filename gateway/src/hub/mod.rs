//! The hub: who is on this node, and fan-out to them.
//!
//! [`Group`]: members in no order of their own, such as those of a namespace, a room or a feed · [`Namespaces`]: the
//! groups by namespace · [`Watchers`]: the users whose presence each member watches. Knows neither the bus, nor Redis,
//! nor what a member is.

mod group;
mod namespaces;
mod watchers;

pub(crate) use self::{
    group::{Group, Member},
    namespaces::{Namespace, Namespaces},
    watchers::{MAX_WATCHED, Watchers},
};
