//! Everything that the gateway and the auth service must agree on, and nothing else.
//!
//! - [`claims`]: the content of a token · [`verify`]: whether a token is valid, and [`jwks`]: the keys for that
//! - [`error_body`]: the one shape of an HTTP error, and [`http`]: the layers that apply it to every error
//! - [`json_depth`]: how deep JSON is nested
//! - [`ids`] and [`time`]: how ids and times are written
//! - [`serve`]: HTTP connections · [`origins`]: the allowed origins of web pages · [`hosts`]: loopback addresses
//! - [`settings`](mod@settings): defaults < file < environment < flags · [`program`]: the common part of every `main`
//! - [`health`]: the health check of such a program · [`telemetry`]: logs · [`trace`]: traces · [`metrics`]: metrics
//! - [`lifecycle`]: start, signals, end · [`bucket`]: a token bucket · [`rate_limit`]: one for each key
//!
//! This crate knows neither sockets nor SQL.

pub mod bucket;
pub mod claims;
pub mod error_body;
pub mod health;
pub mod hosts;
pub mod http;
pub mod ids;
pub mod json_depth;
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
