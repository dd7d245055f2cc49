//! The load generator of `cargo xtask bench`.
//!
//! It connects many sockets to the servers of one peer, runs one [workload](workload), and prints one line of JSON: what
//! was received, how fast, and how much CPU time the servers needed. It starts no server and compares nothing; `xtask`
//! does. It must cost far less than the servers that it measures: one thread, one epoll, hand-made frames, one read
//! buffer for all sockets.
//!
//! - [`crowd`]: many WebSocket clients; [`polling`]: many HTTP long-polling clients
//! - [`storm`]: WebSocket clients that lose all servers and come back
//! - [`dialect`]: what a client says and understands, for Socket.IO and Centrifugo
//! - [`websocket`], [`http`], [`tcp`], [`poll`]: the layers below
//! - [`workload`]: what the clients do; [`layout`]: who is in which room
//! - [`mark`], [`checker`]: every message carries its sender and its number; what is lost, doubled or out of order?
//! - [`histogram`], [`usage`], [`outcome`]: the figures
//!
//! Linux only: it reads `/proc` and uses epoll.
#![cfg(target_os = "linux")]

pub mod args;
pub mod checker;
pub mod clock;
pub mod crowd;
pub mod dialect;
pub mod histogram;
pub mod http;
pub mod layout;
pub mod mark;
pub mod outcome;
pub mod poll;
pub mod polling;
pub mod storm;
pub mod tcp;
pub mod token;
pub mod usage;
pub mod websocket;
pub mod workload;
