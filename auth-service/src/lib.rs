//! Accounts and tokens: the HTTP service that users sign in to and whose tokens gateways verify offline.
//!
//! The path of a request: [`http`] (limits, shape of errors; one file per endpoint, bodies checked by `http::valid`) →
//! [`rules`] (valid addresses, passwords and names) → [`failed_logins`] (limits on sign-in attempts) → [`passwords`]
//! (Argon2id on its own threads, in turns by client address: [`fair_queue`]) → [`users`] (the port, with the statements
//! of `users_postgres` or `users_sqlite`) → [`tokens`] (signs with the current one of the [`keys`] in the database).
//! [`service`] builds and starts them.
//!
//! Architecture invariants: only `users`, the two `users_…` files and `keys::table` contain SQL; a password is hashed
//! only with a [`passwords::Turn`]; nothing here knows sockets or rooms. Refresh tokens, logout and the administration
//! of users do not exist yet.

pub mod app;
pub mod demo;
pub mod failed_logins;
pub mod fair_queue;
pub mod http;
pub mod keys;
pub mod metrics;
pub mod passwords;
pub mod rules;
pub mod service;
pub mod settings;
pub mod tokens;
pub mod users;
mod users_postgres;
mod users_sqlite;

pub use service::{AuthService, Server, StartError, run};
pub use settings::AuthSettings;
