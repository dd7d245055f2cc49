//! Delivers facts to the hooks that want them.
//!
//! The nodes share the partitions of the log of facts ([`partitions`], [`share`]). For each of its partitions and each
//! hook a node runs a delivery ([`deliver`]), which a pure [`courier`] directs. Guarantees: see [`courier`]; progress is
//! saved with fencing, so a former owner of a partition changes nothing; a hook that is down delays neither another
//! hook nor, by more than its own limits, another partition. Without hooks that want facts nothing runs. Deliberately
//! records nothing: that happens where the facts become true, in [`jackfield_cluster`].

mod begin;
mod body;
mod courier;
mod deliver;
mod figures;
mod partitions;
mod pause;
mod send;
mod share;

pub(crate) use self::{
    begin::{begin, check},
    body::{FactBody, body},
    courier::TERM,
    partitions::run,
};
