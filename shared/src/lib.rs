//! What the gateway and the auth service must agree on, and nothing else.
//!
//! - [`claims`]: the content of a token · [`verify`]: who may be believed, and [`jwks`]: with which keys
//! - [`error_body`]: the one shape of an HTTP error, and [`http`]: what gives it to every error
//! - [`ids`] and [`time`]: how ids and times are written
//! - [`serve`]: HTTP connections · [`origins`]: which browsers' pages may come · [`hosts`]: who
//!   reaches what listens
//! - [`settings`]: defaults < file < environment < flags · [`program`]: what every `main` does
//! - [`health`]: whether such a program is well · [`telemetry`]: logs · [`trace`]: traces · [`metrics`]: what is counted
//! - [`lifecycle`]: start, signals, end · [`rate_limit`]: how often somebody may try
//!
//! This crate knows neither sockets nor SQL.

pub mod claims;
pub mod error_body;
pub mod health;
pub mod hosts;
pub mod http;
pub mod ids;
pub mod jwks;
pub mod lifecycle;
pub mod metrics;
pub mod origins;
pub mod program;
pub mod rate_limit;
pub mod serve;
pub mod settings;
pub mod telemetry;
pub mod time;
pub mod trace;
pub mod verify;
