//! Connections and their sockets: authentication, the ordered queue, limits, and the end.
//!
//! One Engine.IO connection is a [`Connection`] and, once a namespace has accepted a token, one session. It has a
//! [`Client`] for each namespace that it is in, and a [`Subscriber`] for each feed that it subscribed to, which is no
//! part of the session. Guarantees: a connection's packets are handled one after the other, in order; a socket receives
//! nothing before the answer to its CONNECT, and no packet that it sends from then on is lost.
//!
//! [`Shared`] is the state that all connections of a node share, with their [`registry`]. Deliberately handles no
//! events: the layer above does, through [`Dispatch`].

mod accept;
mod acks;
mod admit;
mod announcement;
mod asks;
mod claim;
mod client;
mod command;
mod connect;
mod connect_auth;
mod connect_feed;
mod connect_hook;
mod connection;
mod disconnect;
mod dispatch;
mod event_error;
mod expiry;
mod flood_guard;
mod handshake_token;
mod leave_room;
mod newcomer;
mod packet_queue;
mod pending_connects;
mod receive;
mod recovery;
mod refusal;
pub(crate) mod registry;
mod reply;
mod revoked;
mod shared;
mod state;
mod subscriber;
mod subscriptions;
#[cfg(test)]
mod tests;
mod token_validity;
mod user_cursor;
mod user_events;

pub use self::registry::Readiness;
pub(crate) use self::{
    accept::Acceptor,
    acks::reply,
    announcement::{PresenceChange, announcement},
    asks::{Answer, Answers, Asking, MAX_ANSWERS},
    client::Client,
    command::{CommandError, Outcome},
    connection::Connection,
    dispatch::{Dispatch, Malformed, RawEvent, Sender, SubscriberSender},
    event_error::EventError,
    leave_room::{forget_stay, leave_room},
    reply::{Addressee, acknowledge, answer, error_frame},
    shared::{MAIN, NAMESPACES, Policies, Shared},
    subscriber::Subscriber,
    user_events::UserFrames,
};
