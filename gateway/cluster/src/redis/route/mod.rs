//! The way to the servers of a Redis Cluster: [`cluster`] has the nodes and keeps the map of the slots, [`view`] asks a
//! node for it, [`slots`] reads what nodes say, [`redirects`] follows answers that lead elsewhere, [`pauses`] limits how
//! often.

pub(crate) mod cluster;
mod pauses;
mod redirects;
mod slots;
mod view;
