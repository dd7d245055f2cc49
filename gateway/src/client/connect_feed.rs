//! Joins a client to a feed: a token if the feed requires one, CONNECT, the greeting, and the updates that were kept.
//!
//! No session is claimed: a user who reads a feed in one tab keeps the session in the other. A connection that sent no
//! token counts among its address's connections without a session for as long as it reads.

use std::{sync::Arc, time::Instant};

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
    // A token that is sent must be valid, even if the feed requires none.
    let identity = identify(connection, auth).await?;
    if identity.is_none() && feed.rule.read == Read::Token {
        return Err(Refusal::Terminal("missing_token"));
    }
    let user = identity.as_ref().map(|identity| connection.belongs_to(&identity.user_id));
    if let Some(user) = &user
        && user.connect(Instant::now()).is_err()
    {
        return Err(Refusal::TooFast);
    }
    let has_token = user.is_some();
    let reader = Reader::new(random_id().into(), Arc::clone(feed), identity, user, connection);
    feed.let_in(reader).await.map_err(|Unavailable| Refusal::Passing)?;
    if has_token {
        connection.give_back_place();
    }
    Ok(())
}
