//! For operators: [`health`] and [`metrics`], on the internal port.

pub mod health;
pub mod metrics;
