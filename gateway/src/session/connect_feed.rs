//! Subscribes a client to a feed: verifies the token if there is one, sends CONNECT, the greeting, and the kept
//! updates.
//!
//! Deliberately claims no session, so that a user who subscribes in one tab keeps the session in another. A connection
//! without a token counts among its address's connections without a session as long as it is subscribed.

use std::sync::Arc;

use jackfield_cluster::{Unavailable, ids::SocketId};
use jackfield_shared::{claims::Identity, time::now};

use super::{Connection, Subscriber, connect_auth::ConnectAuth, refusal::Refusal};
use crate::{
    feed::{Feed, Resume, Terms, rule::Read},
    metrics,
};

pub(super) async fn join(
    connection: &Arc<Connection>,
    feed: &Arc<Feed<Subscriber>>,
    identity: Option<Arc<Identity>>,
    auth: &ConnectAuth,
) -> Result<(), Refusal> {
    // The caller has verified the token, if the client sent one, even if the feed requires none.
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
    let limits = &connection.shared.settings.limits;
    let offsets = connection.recovers(auth);
    let resume = auth.resume.as_ref().filter(|_| offsets);
    let terms = Terms {
        offsets,
        resume: resume.and_then(|resume| Resume::parse(&resume.pid, &resume.offset)),
        // Half of its queue.
        max: if limits.queue == 0 { usize::MAX } else { limits.queue as usize / 2 },
        max_bytes: limits.queue_bytes as usize / 2,
    };
    let outbox = connection.outbox.clone();
    let subscriber = Subscriber::new(SocketId::random(), Arc::clone(feed), identity, user, outbox, offsets);
    let (admitted, admitting) = (Arc::clone(&subscriber), Arc::clone(connection));
    let subscribe = move |first: &[_]| {
        let subscribed = admitting.subscribe(&admitted, first);
        metrics::CONNECTS.add(usize::from(subscribed));
        subscribed
    };
    feed.admit(subscriber, terms, subscribe).await.map_err(|Unavailable| Refusal::Temporary)?;
    if has_token {
        connection.release_permit();
        connection.watch_subscriptions();
    }
    Ok(())
}
