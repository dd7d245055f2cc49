//! For operators: [`health`] on the internal port, and the [`gauges`] that are sampled when somebody scrapes.

mod gauges;
mod health;

pub(crate) use self::{gauges::sample, health::router};
