//! Joins a client to a namespace: token, session, CONNECT, `authenticated`.
//!
//! Permanent refusals are answered with CONNECT_ERROR, temporary ones by closing the transport: a stock client has no
//! other way to tell them apart.

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
        ids::{SessionRef, Incarnation, IndexEntry, random_id},
        presence::Announce,
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
    /// Permanent: the code that the client receives.
    Terminal(&'static str),
    /// Temporary: the client reconnects by itself.
    Passing,
    /// The user connects too fast: temporary, too.
    TooFast,
}

pub(super) async fn connect(connection: &Arc<Connection>, namespace: &str, auth: Option<&Text>) {
    connection.asks_for(namespace);
    match join(connection, namespace, auth).await {
        Ok(()) => {}
        Err(Refusal::Terminal(code)) => {
            metrics::REFUSED.add_for([code], 1);
            connection.refused_by(namespace);
            // A client with a full queue does not read: nothing can be sent to it.
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

/// Joins the connection's first namespace, and claims its session.
async fn begin(connection: &Arc<Connection>, namespace: &Arc<Namespace>, identity: Identity) -> Result<(), Refusal> {
    let node = &connection.node;
    let missed = node.missed();
    let user = connection.belongs_to(&identity.user_id);
    if user.connect(Instant::now()).is_err() {
        // Refused before the claim, so that it costs the cluster nothing and evicts nobody.
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

/// The identity in the client's token; `None` if the client sent none.
pub(super) async fn identify(connection: &Connection, auth: Option<&Text>) -> Result<Option<Identity>, Refusal> {
    let from_auth = auth_token(auth);
    let Some(token) = from_auth.as_deref().or(connection.token.as_deref()) else { return Ok(None) };
    let identity = connection.node.verifier.verify(token).await.map_err(|error| match error {
        TokenError::Invalid => Refusal::Terminal("invalid_token"),
        TokenError::Expired => Refusal::Terminal("token_expired"),
        TokenError::KeysUnavailable => Refusal::Passing,
    })?;
    // A configured issuer may write any id into a token; messages of the system must not be forged.
    if *identity.user_id == *SYSTEM.id {
        return Err(Refusal::Terminal("invalid_token"));
    }
    Ok(Some(identity))
}

/// Claims the session in the whole cluster.
async fn claim(connection: &Arc<Connection>, identity: &Identity) -> Result<(), Refusal> {
    let node = &connection.node;
    let incarnation = node.incarnation().ok_or(Refusal::Passing)?;
    if node.departures.is_full() {
        return Err(Refusal::Passing);
    }
    let holding = SessionRef { user: Arc::clone(&identity.user_id), session: connection.id.clone() };
    {
        // Under the lock, so that a concurrent end is either seen here or removes the entry.
        let session = connection.session.lock();
        if session.is_ended() {
            return Err(Refusal::Passing);
        }
        // From here on an eviction finds the session, even one that arrives before the claim's answer.
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
            // The claim may have succeeded all the same, or may still succeed once Redis answers: release it.
            node.departures.push(IndexEntry::Session(holding), incarnation);
            Err(Refusal::Passing)
        }
    }
}

async fn ask(connection: &Connection, holding: &SessionRef, incarnation: &Incarnation) -> Result<Claimed, Unavailable> {
    let node = &connection.node;
    let (cluster, policy) = (&node.cluster, node.policy);
    let noted = IndexEntry::Session(holding.clone());
    // The note is sent first, on the same connection: it is stored before the claim.
    let (noted, claimed) = tokio::join!(
        biased;
        cluster.membership.index_add(incarnation, std::slice::from_ref(&noted)),
        cluster.sessions.claim(holding, incarnation, policy, &[])
    );
    noted?;
    match claimed? {
        Claimed::Refused { holders } => {
            // Nodes register before they claim, so a holder that is not live is dead: retry without its sessions.
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

/// Admits the client to the namespace. Sends CONNECT first, `authenticated` second, then everything else; the count of
/// unread notifications follows as soon as the back end answers.
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
        // Under the lock, so that a concurrent eviction is sent after CONNECT and not before it.
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

/// Announces the user's presence, then handles an end, an eviction or a bus gap since the claim began; `missed` is the
/// node's count of bus gaps at that time.
async fn enter(connection: &Arc<Connection>, identity: &Identity, missed: u64) {
    let node = &connection.node;
    let held = connection.session.lock().incarnation();
    if let Some(incarnation) = held {
        let holding = SessionRef { user: Arc::clone(&identity.user_id), session: connection.id.clone() };
        let entered = node.cluster.presence.enter(&[holding], &incarnation, Announce::Yes).await;
        // The lease was lost, or the outcome is unknown: the next reassertion writes the presence again.
        if entered.is_err() || node.incarnation().as_ref() != Some(&incarnation) {
            node.reassert_soon();
        }
    }
    let (departure, evicted) = connection.session.lock().settle();
    if let Some((user, incarnation)) = departure {
        let holding = SessionRef { user, session: connection.id.clone() };
        node.departures.push(IndexEntry::Session(holding), incarnation);
    }
    if evicted {
        connection.evicted();
    } else if node.missed() != missed {
        // The bus may have lost an eviction of this session, and a reassertion skips sessions that are being claimed:
        // reassert again.
        node.reassert_soon();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{
        body::Body,
        http::{Request, StatusCode},
    };
    use jackfield_shared::{lifecycle::Lifecycle, verify::KeySource};
    use tower::ServiceExt as _;

    use super::*;
    use crate::{
        Gateway,
        cluster::{MemoryCluster, room_name::RoomName},
        node::MAIN,
        room::{JoinError, Joined, Joining, Rooms},
        settings::GatewaySettings,
    };

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

    /// A connection right after its handshake.
    async fn shake_hands(gateway: &Gateway) -> Arc<Connection> {
        let request = Request::get("/socket.io/?EIO=4&transport=polling").body(Body::empty()).unwrap();
        let response = gateway.router().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        gateway.node().idle.all().pop().unwrap()
    }

    fn gateway(lifecycle: &Lifecycle) -> Gateway {
        let settings = GatewaySettings::default();
        let cluster = MemoryCluster::new(settings.terms());
        let keys = KeySource::Secret("not a secret".to_owned());
        Gateway::build_in(&cluster, settings, keys, lifecycle).unwrap()
    }

    #[tokio::test]
    async fn what_ends_while_it_begins_leaves_nothing_behind() {
        let lifecycle = Lifecycle::new();
        let gateway = gateway(&lifecycle);
        let node = gateway.node();
        let namespace = node.hub.namespace(MAIN).unwrap();
        let connection = shake_hands(&gateway).await;
        assert!(matches!(connection.session.lock().begin(&identity()), Standing::Claim));
        // Another thread may do this at any moment: here, between the decision to claim and the claim.
        connection.close();
        let begun = begin(&connection, namespace, identity()).await;
        assert_eq!((node.connections.len(), node.connections.census().users, namespace.len()), (0, 0, 0));
        assert!(matches!(begun, Err(Refusal::Passing)));
        assert_eq!(node.cluster.sessions.of(&[identity().user_id]).await.unwrap(), [vec![]]);
        lifecycle.stop();
    }

    /// A socket in the main namespace.
    async fn connected(gateway: &Gateway) -> (Arc<Connection>, Arc<Client>) {
        let namespace = gateway.node().hub.namespace(MAIN).unwrap();
        let connection = shake_hands(gateway).await;
        assert!(matches!(connection.session.lock().begin(&identity()), Standing::Claim));
        assert!(begin(&connection, namespace, identity()).await.is_ok());
        let client = Arc::clone(&connection.session.lock().sockets[0]);
        (connection, client)
    }

    #[tokio::test]
    async fn nothing_is_claimed_while_too_much_waits_to_be_released() {
        let lifecycle = Lifecycle::new();
        let gateway = gateway(&lifecycle);
        let node = gateway.node();
        let (_, client) = connected(&gateway).await;
        let namespace = node.hub.namespace(MAIN).unwrap();
        let connection = shake_hands(&gateway).await;
        assert!(matches!(connection.session.lock().begin(&identity()), Standing::Claim));
        while !node.departures.is_full() {
            node.departures.push(IndexEntry::Session(client.holding()), "lost".into());
        }
        assert!(matches!(begin(&connection, namespace, identity()).await, Err(Refusal::Passing)));
        assert_eq!(node.connections.len(), 1, "that of the client before");
        lifecycle.stop();
    }

    #[tokio::test]
    async fn a_socket_that_left_while_it_joins_a_room_is_refused_at_once() {
        let lifecycle = Lifecycle::new();
        let gateway = gateway(&lifecycle);
        let node = gateway.node();
        let (connection, client) = connected(&gateway).await;
        let room = RoomName::parse(&client.namespace.name, "r").unwrap();
        connection.close();
        let joining = Joining::new(client, None, None, 1);
        // It used to ask the room's task again and again, for two seconds.
        let joined = tokio::time::timeout(Duration::from_secs(1), node.rooms.join(node, &room, joining)).await;
        assert!(matches!(joined, Ok(Err(JoinError::Unavailable))));
        until_empty(&node.rooms).await;
        lifecycle.stop();
    }

    #[tokio::test]
    async fn a_room_is_closed_where_a_socket_fails_between_two_rounds_of_its_join() {
        let lifecycle = Lifecycle::new();
        let gateway = gateway(&lifecycle);
        let node = gateway.node();
        let (connection, client) = connected(&gateway).await;
        let room = RoomName::parse(&client.namespace.name, "r").unwrap();
        for _ in 0..40 {
            node.cluster.log.append(&room, &format!("\"{}\"", "x".repeat(50_000)), None).await.unwrap();
        }
        let since = node.cluster.log.empty().await.unwrap().to_string();
        let mut joining = Joining::new(client, Some(since), None, 1);
        let Ok((_, Joined::More { told, .. })) = node.rooms.join(node, &room, joining.clone()).await else {
            panic!("two megabytes in one round")
        };
        assert_eq!(node.rooms.len(), 1);
        joining.told = Some(told);
        connection.close();
        assert!(matches!(node.rooms.join(node, &room, joining).await, Err(JoinError::Unavailable)));
        until_empty(&node.rooms).await;
        lifecycle.stop();
    }

    async fn until_empty(rooms: &Rooms) {
        let closed = async {
            while !rooms.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), closed).await.expect("the room stays open");
    }
}
