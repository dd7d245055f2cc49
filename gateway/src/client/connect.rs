//! A client asks for a namespace: token, session, CONNECT, `authenticated`.
//!
//! What is terminal is answered with CONNECT_ERROR, what is passing by closing the transport: a stock client tells them
//! apart by nothing else.

use std::{sync::Arc, time::Instant};

use jackfield_shared::{claims::Identity, time::rfc3339_of_unix, verify::TokenError};
use serde_json::json;

use super::{
    Client, Connection, connect_feed,
    session::{Held, Standing},
    token::auth_token,
};
use crate::{
    cluster::{
        Unavailable,
        ids::{Holding, Incarnation, IndexEntry, random_id},
        presence::Saying,
        sessions::Claimed,
    },
    engine::{Frame, Text},
    hub::Namespace,
    limits::User,
    ops::metrics,
    room::SYSTEM,
};

/// Why a namespace is not joined.
pub(super) enum Refusal {
    /// For good: the code that the client gets.
    Terminal(&'static str),
    /// For now: the client comes back by itself.
    Passing,
    /// The user connects too fast: passing, too.
    TooFast,
}

pub(super) async fn connect(connection: &Arc<Connection>, namespace: &str, auth: Option<&Text>) {
    connection.asks_for(namespace);
    match join(connection, namespace, auth).await {
        Ok(()) => {}
        Err(Refusal::Terminal(code)) => {
            metrics::REFUSED.add_for([code], 1);
            connection.refused_by(namespace);
            // A full queue means that the client does not read: nobody is there to be told.
            let _ = connection.outbox.send(&Frame::connect_error(namespace, code));
            connection.node.idle.watch(connection);
        }
        Err(Refusal::Passing) => {
            metrics::REFUSED.add_for(["unavailable"], 1);
            connection.close();
        }
        Err(Refusal::TooFast) => {
            metrics::REFUSED.add_for(["user_connect_rate"], 1);
            connection.close();
        }
    }
}

async fn join(connection: &Arc<Connection>, namespace: &str, auth: Option<&Text>) -> Result<(), Refusal> {
    let node = &connection.node;
    if let Some(feed) = node.feeds.of(namespace) {
        return connect_feed::join(connection, feed, auth).await;
    }
    let namespace = node.hub.namespace(namespace).ok_or(Refusal::Terminal("invalid_namespace"))?;
    let identity = identify(connection, auth).await?.ok_or(Refusal::Terminal("missing_token"))?;
    let standing = connection.session.lock().begin(&identity);
    match standing {
        Standing::Same => {
            let user = connection.belongs_to(&identity.user_id);
            admit(connection, namespace, identity, user);
        }
        Standing::Other => return Err(Refusal::Terminal("session_conflict")),
        Standing::Ended => return Err(Refusal::Passing),
        Standing::Claim => return begin(connection, namespace, identity).await,
    }
    Ok(())
}

/// The connection's first namespace, and with it its session.
async fn begin(connection: &Arc<Connection>, namespace: &Arc<Namespace>, identity: Identity) -> Result<(), Refusal> {
    let node = &connection.node;
    let missed = node.missed();
    let user = connection.belongs_to(&identity.user_id);
    if user.connect(Instant::now()).is_err() {
        // Before the claim: it costs the cluster nothing and evicts nobody.
        tracing::debug!(user = %identity.user_id, session = %connection.id, "closing a connection: the user connects too fast");
        connection.session.lock().abandon();
        return Err(Refusal::TooFast);
    }
    if let Err(refusal) = claim(connection, &identity).await {
        connection.session.lock().abandon();
        node.connections.remove(&connection.id);
        return Err(refusal);
    }
    connection.give_back_place();
    admit(connection, namespace, identity.clone(), user);
    enter(connection, &identity, missed).await;
    Ok(())
}

/// Whom the client's token speaks for; nothing where it shows none.
pub(super) async fn identify(connection: &Connection, auth: Option<&Text>) -> Result<Option<Identity>, Refusal> {
    let from_auth = auth_token(auth);
    let Some(token) = from_auth.as_deref().or(connection.token.as_deref()) else { return Ok(None) };
    let identity = connection.node.verifier.verify(token).await.map_err(|error| match error {
        TokenError::Invalid => Refusal::Terminal("invalid_token"),
        TokenError::Expired => Refusal::Terminal("token_expired"),
        TokenError::KeysUnavailable => Refusal::Passing,
    })?;
    // An issuer of its own may write anything there; what the system says must not be forged.
    if *identity.user_id == *SYSTEM.id {
        return Err(Refusal::Terminal("invalid_token"));
    }
    Ok(Some(identity))
}

/// Claims the session in the whole cluster.
async fn claim(connection: &Arc<Connection>, identity: &Identity) -> Result<(), Refusal> {
    let node = &connection.node;
    let incarnation = node.incarnation().ok_or(Refusal::Passing)?;
    let holding = Holding { user: Arc::clone(&identity.user_id), session: connection.id.clone() };
    {
        // Under the lock, so that an end at this moment either is seen here or takes out what is put in.
        let session = connection.session.lock();
        if session.is_ended() {
            return Err(Refusal::Passing);
        }
        // From here on an eviction finds the session, even one that overtakes the claim's answer.
        node.connections.insert(connection, Some(&identity.user_id));
    }
    let answer = ask(connection, &holding, &incarnation).await;
    match answer {
        Ok(Claimed::Granted { generation }) => {
            metrics::CLAIMS.add_for(["granted"], 1);
            connection.session.lock().granted(Held { generation, incarnation });
            Ok(())
        }
        Ok(Claimed::Refused { .. }) => {
            metrics::CLAIMS.add_for(["refused"], 1);
            Err(Refusal::Terminal("session_conflict"))
        }
        Err(Unavailable) => {
            metrics::CLAIMS.add_for(["unavailable"], 1);
            // It may have been granted all the same, or be granted when the back end wakes up.
            node.departures.push(IndexEntry::Session(holding), incarnation);
            Err(Refusal::Passing)
        }
    }
}

async fn ask(connection: &Connection, holding: &Holding, incarnation: &Incarnation) -> Result<Claimed, Unavailable> {
    let node = &connection.node;
    let (cluster, policy) = (&node.cluster, node.policy);
    let noted = IndexEntry::Session(holding.clone());
    // The note goes out first, on the same connection: it is there before the claim is.
    let (noted, claimed) = tokio::join!(
        cluster.membership.note(incarnation, std::slice::from_ref(&noted)),
        cluster.sessions.claim(holding, incarnation, policy, &[])
    );
    noted?;
    match claimed? {
        Claimed::Refused { holders } => {
            // Who was registered before it claimed and is not live now is dead: its sessions stand in nobody's way.
            let live = cluster.membership.live().await?;
            let dead: Vec<_> = holders.iter().filter(|holder| !live.contains(holder)).cloned().collect();
            match dead.is_empty() {
                true => Ok(Claimed::Refused { holders }),
                false => cluster.sessions.claim(holding, incarnation, policy, &dead).await,
            }
        }
        granted @ Claimed::Granted { .. } => Ok(granted),
    }
}

/// Puts the client into the namespace. CONNECT comes first, `authenticated` second, then everything else; among that, as
/// soon as the back end answers, how many notifications are unread.
fn admit(connection: &Arc<Connection>, namespace: &Arc<Namespace>, identity: Identity, user: Arc<User>) {
    let node = &connection.node;
    let id: Arc<str> = random_id().into();
    let authenticated = json!({
        "success": true,
        "userId": identity.user_id,
        "email": identity.email,
        "socketId": id,
        "expiresAt": rfc3339_of_unix(identity.expires_at),
    });
    let client = Arc::new(Client::new(
        Arc::clone(&id),
        connection.id.clone(),
        Arc::clone(namespace),
        identity,
        user,
        Arc::clone(node),
        connection.outbox.clone(),
        Arc::downgrade(connection),
    ));
    let sent = {
        // Under the lock, so that an eviction at this moment comes after CONNECT and not before it.
        let mut session = connection.session.lock();
        if session.is_ended() || session.sockets.iter().any(|other| other.namespace.name == namespace.name) {
            return;
        }
        session.sockets.push(Arc::clone(&client));
        connection.admitted(&mut session);
        let connected = client.outbox().send(&Frame::connect(&namespace.name, &id));
        let authenticated = Frame::event(&namespace.name, "authenticated", &authenticated);
        let sent = connected.and_then(|()| authenticated.map_or(Ok(()), |frame| client.outbox().send(&frame)));
        client.joined(namespace.join(Arc::clone(&client)));
        sent
    };
    if sent.is_err() {
        client.too_slow();
    }
    connection.renew(client.identity.expires_at);
    node.counts.tell([client.holding()]);
    node.roster_changed(namespace);
    metrics::CONNECTS.add(1);
}

/// Makes the user's presence known, and looks at what happened since the claim began, when the node had missed messages
/// `missed` times.
async fn enter(connection: &Arc<Connection>, identity: &Identity, missed: u64) {
    let node = &connection.node;
    let held = connection.session.lock().incarnation();
    if let Some(incarnation) = held {
        let holding = Holding { user: Arc::clone(&identity.user_id), session: connection.id.clone() };
        let entered = node.cluster.presence.enter(&[holding], &incarnation, Saying::Aloud).await;
        // Under a lost lease, or where it is not known: the next reassertion writes it again.
        if entered.is_err() || node.incarnation().as_ref() != Some(&incarnation) {
            node.reassert_soon();
        }
    }
    let (departure, evicted) = connection.session.lock().settle();
    if let Some((user, incarnation)) = departure {
        let holding = Holding { user, session: connection.id.clone() };
        node.departures.push(IndexEntry::Session(holding), incarnation);
    }
    if evicted {
        connection.evicted();
    } else if node.missed() != missed {
        // An eviction of this session may have been among what was missed, and what is said again while a session is
        // being claimed leaves it out.
        node.reassert_soon();
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, StatusCode},
    };
    use jackfield_shared::{lifecycle::Lifecycle, verify::KeySource};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{Gateway, cluster::MemoryCluster, node::MAIN, settings::GatewaySettings};

    fn identity() -> Identity {
        let user: Arc<str> = "u".into();
        Identity {
            name: Arc::clone(&user),
            user_id: user,
            email: None,
            roles: Arc::new([]),
            expires_at: jackfield_shared::time::unix_now() + 3_600,
        }
    }

    /// A connection that has just shaken hands.
    async fn shake_hands(gateway: &Gateway) -> Arc<Connection> {
        let request = Request::get("/socket.io/?EIO=4&transport=polling").body(Body::empty()).unwrap();
        let response = gateway.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        gateway.node().idle.all().pop().unwrap()
    }

    #[tokio::test]
    async fn what_ends_while_it_begins_leaves_nothing_behind() {
        let lifecycle = Lifecycle::new();
        let settings = GatewaySettings::default();
        let cluster = MemoryCluster::new(settings.terms());
        let keys = KeySource::Secret("not a secret".to_owned());
        let gateway = Gateway::build_in(&cluster, settings, keys, &lifecycle).unwrap();
        let node = gateway.node();
        let namespace = node.hub.namespace(MAIN).unwrap();
        let connection = shake_hands(&gateway).await;
        assert!(matches!(connection.session.lock().begin(&identity()), Standing::Claim));
        // What another thread may do at any moment: here, after the decision to claim and before it is acted on.
        connection.close();
        let begun = begin(&connection, namespace, identity()).await;
        assert_eq!((node.connections.len(), node.connections.census().users, namespace.len()), (0, 0, 0));
        assert!(matches!(begun, Err(Refusal::Passing)));
        assert_eq!(node.cluster.sessions.of(&[identity().user_id]).await.unwrap(), [vec![]]);
        lifecycle.stop();
    }
}
