//! For operators: [`health`] and metrics on the internal port, and the [`gauges`], which are sampled at scrape time.

mod gauges;
mod health;

pub(crate) use self::{gauges::sample, health::router};
