//! A client asks for a feed: a token where the feed wants one, CONNECT, the greeting, and the updates that were kept.
//!
//! No session is claimed: whoever reads a feed in one tab keeps the session in the other. A connection that has shown no
//! token counts among those of its address that have no session for as long as it reads.

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
    // Who shows a token is held to it, even where none is needed.
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
