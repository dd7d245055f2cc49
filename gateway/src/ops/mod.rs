//! For operators: [`health`] and metrics on the internal port, the [`gauges`], which are sampled at scrape time, and
//! what is promised and not kept ([`unkept`]).

mod gauges;
mod health;
mod unkept;

pub use self::unkept::Unkept;
pub(crate) use self::{
    gauges::sample,
    health::router,
    unkept::{unkept, watch},
};
