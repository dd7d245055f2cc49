//! Accounts and tokens: the HTTP service that users sign in to and whose tokens gateways verify offline.
//!
//! A request's way: [`http`] (limits, shape of errors; one file an endpoint, each parsed by `http::body`) → [`rules`]
//! (what an address and a password must be) → [`failed_logins`] (who may still try) →
//! [`passwords`] (Argon2id on threads of its own, in turns by client address: [`fair_queue`]) → [`users`] (the port: `users_postgres` or `users_sqlite`) → [`tokens`] (signs with the
//! [`signing_key`] that the database keeps). [`service`] puts them together and starts them.
//!
//! Architecture invariants: SQL is named in the two `users_…` files alone; a password is hashed only with a
//! [`passwords::Turn`]; nothing here knows sockets or rooms. Refresh tokens, logout and the administration of users are
//! not here yet.

pub mod app;
pub mod demo;
pub mod failed_logins;
pub mod fair_queue;
pub mod http;
pub mod metrics;
pub mod passwords;
pub mod rules;
pub mod service;
pub mod settings;
pub mod signing_key;
pub mod tokens;
pub mod users;
mod users_postgres;
mod users_sqlite;

pub use service::{AuthService, Server, StartError, run};
pub use settings::AuthSettings;
