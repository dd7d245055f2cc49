//! Subscribes a client to a feed: a token if the feed requires one, CONNECT, the greeting, and the updates that were kept.
//!
//! No session is claimed: a user who reads a feed in one tab keeps the session in the other. A connection that sent no
//! token counts among its address's connections without a session for as long as it reads.

use std::sync::Arc;

use jackfield_cluster::{Unavailable, ids::random_id};
use jackfield_shared::{claims::Identity, time::now};

use super::{Connection, Subscriber, refusal::Refusal};
use crate::{
    feed::{Feed, rule::Read},
    metrics,
};

pub(super) async fn join(
    connection: &Arc<Connection>,
    feed: &Arc<Feed<Subscriber>>,
    identity: Option<Identity>,
) -> Result<(), Refusal> {
    // A token that is sent must be valid, even if the feed requires none.
    if identity.is_none() && feed.rule.read == Read::Token {
        return Err(Refusal::Permanent("missing_token"));
    }
    let user = identity.as_ref().map(|identity| connection.belongs_to(&identity.user_id));
    if let Some(user) = &user
        && user.connect(now()).is_err()
    {
        return Err(Refusal::TooFast);
    }
    let has_token = user.is_some();
    let subscriber = Subscriber::new(random_id().into(), Arc::clone(feed), identity, user, connection.outbox.clone());
    let (admitted, admitting) = (Arc::clone(&subscriber), Arc::clone(connection));
    let subscribe = move |first: &[_]| {
        let subscribed = admitting.subscribe(&admitted, first);
        metrics::CONNECTS.add(usize::from(subscribed));
        subscribed
    };
    feed.admit(subscriber, subscribe).await.map_err(|Unavailable| Refusal::Temporary)?;
    if has_token {
        connection.release_permit();
        connection.watch_subscriptions();
    }
    Ok(())
}
