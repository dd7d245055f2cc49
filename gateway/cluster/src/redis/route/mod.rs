//! The way to the servers of a Redis Cluster: [`cluster`] has the nodes and follows redirects, [`slots`] reads what they
//! say, [`pauses`] limits how often they are asked.

pub(crate) mod cluster;
mod pauses;
mod slots;
