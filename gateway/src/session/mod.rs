//! Connections and their sockets: authentication, the ordered queue, limits, and the end.
//!
//! One Engine.IO connection is a [`Connection`] and, once a namespace accepted a token, one session; each namespace it
//! is in is a [`Client`], and each feed it subscribed to a [`Subscriber`], which is no part of the session. Guarantees: a
//! connection's packets are handled one after the other, in order; a socket receives nothing before the answer to its
//! CONNECT, and no packet that it sends at that moment is lost.
//!
//! [`Shared`] is what all connections of a node have in common, with the [`registry`] of connections. Events are handled
//! above this layer, through [`Dispatch`].

mod accept;
mod claim;
mod client;
mod connect;
mod connect_feed;
mod connection;
mod disconnect;
mod dispatch;
mod event_error;
mod expiry;
mod flood_guard;
mod packet_queue;
mod receive;
mod refusal;
pub(crate) mod registry;
mod reply;
mod shared;
mod state;
mod subscriber;
mod subscriptions;
#[cfg(test)]
mod tests;
mod token;
mod token_validity;

pub use self::registry::Parts;
pub(crate) use self::{
    accept::Acceptor,
    client::Client,
    connection::Connection,
    dispatch::{Dispatch, Malformed, RawEvent, Sender, SubscriberSender},
    event_error::EventError,
    reply::{Addressee, acknowledge, answer, error_frame},
    shared::{MAIN, NAMESPACES, Policies, Shared},
    subscriber::Subscriber,
};
