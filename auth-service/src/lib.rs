//! Accounts and tokens: the HTTP service that users sign in to and whose tokens gateways verify offline.
//!
//! The path of a request: [`http`] (limits, shape of errors; one file per endpoint, bodies checked by `http::valid`) →
//! [`rules`] (valid addresses, passwords and names) → [`failed_logins`] (limits on sign-in attempts) → [`passwords`]
//! (Argon2id on its own threads, in turns by client address: [`fair_queue`]) → [`users`] and [`logins`] (the ports, with
//! the statements of `…_postgres` or `…_sqlite`) → [`sign_in`] (opens a login) → [`tokens`] (signs with the current one
//! of the [`keys`] in the database). [`service`] builds and starts them.
//!
//! A login is renewed with its [`refresh_token`] by the rules of [`rotation`]. A call that ends logins or changes a
//! user goes through the [`revoker`], which tells the gateways; `list_keeper` tells them again what their list has lost.
//!
//! Architecture invariants: only `users`, `logins`, the files of their statements and `keys::table` contain SQL; a
//! password is hashed only with a [`passwords::Turn`]; a token is revoked only through the [`revoker`]; nothing here
//! knows sockets or rooms.

pub mod app;
pub mod demo;
pub mod failed_logins;
pub mod fair_queue;
pub mod http;
pub mod keys;
mod list_keeper;
pub mod logins;
mod logins_postgres;
mod logins_sqlite;
pub mod metrics;
pub mod passwords;
pub mod refresh_token;
pub mod revoker;
pub mod rotation;
pub mod rules;
pub mod service;
pub mod settings;
pub mod sign_in;
pub mod tokens;
pub mod users;
mod users_postgres;
mod users_sqlite;

pub use service::{AuthService, Server, StartError, run};
pub use settings::AuthSettings;
