//! A client asks for a feed: a token where the feed wants one, CONNECT, the greeting, and the updates that were kept.
//!
//! No session is claimed: whoever reads a feed in one tab keeps the session in the other.

use std::sync::Arc;

use super::{
    Connection, Reader,
    connect::{Refusal, identify},
};
use crate::{
    cluster::{Unavailable, ids::random_id},
    engine::Text,
    feed::{Feed, rule::Read},
};

pub(super) async fn join(connection: &Arc<Connection>, feed: &Arc<Feed>, auth: Option<&Text>) -> Result<(), Refusal> {
    // Who shows a token is held to it, even where none is needed.
    let identity = identify(connection, auth).await?;
    if identity.is_none() && feed.rule.read == Read::Token {
        return Err(Refusal::Terminal("missing_token"));
    }
    let reader = Reader::new(random_id().into(), Arc::clone(feed), identity, connection);
    feed.let_in(reader).await.map_err(|Unavailable| Refusal::Passing)
}
