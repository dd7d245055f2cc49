//! Joins a client to a namespace: verifies the token, claims the session, sends CONNECT, `authenticated` and the number
//! of unread notifications.
//!
//! Answers permanent refusals with CONNECT_ERROR and temporary ones by closing the transport, because a stock client
//! reconnects by itself only after the latter.

use std::sync::Arc;

use jackfield_cluster::{connects::Granted, deadline, ids::SocketId, presence::Stay};
use jackfield_engine::{CloseReason, Frame};
use jackfield_shared::{
    claims::Identity,
    time::{now, now_rfc3339, rfc3339_of_unix, unix_now},
    verify::TokenError,
};
use serde_json::json;

use super::{
    Client, Connection, MAIN, Shared,
    announcement::{PresenceChange, announcement},
    claim::claim,
    connect_auth::ConnectAuth,
    connect_feed,
    handshake_token::HandshakeToken,
    refusal::Refusal,
    state::Standing,
};
use crate::{
    hub::{Member as _, Namespace},
    limits::User,
    metrics, notification,
    room::SYSTEM,
};

pub(super) async fn connect(connection: &Arc<Connection>, namespace: &str, auth: Option<&str>) {
    if connection.session.lock().is_ended() {
        return;
    }
    connection.forget_refusal(namespace);
    let mut user = None;
    let Err(refusal) = join(connection, namespace, auth, &mut user).await else { return };
    metrics::REFUSED.add_for([refusal.code()], 1);
    let (session, code) = (&connection.id, refusal.code());
    tracing::info!(%session, user = user.as_deref(), namespace, code, "refused a CONNECT");
    match refusal {
        Refusal::Permanent(code) => {
            connection.remember_refusal(namespace);
            // A client with a full queue does not read: nothing can be sent to it.
            let _ = connection.outbox.send(&Frame::connect_error(namespace, code));
            connection.shared.idle.watch(connection);
        }
        Refusal::Temporary => connection.close(CloseReason::Unavailable),
        Refusal::TooFast => connection.close(CloseReason::ConnectRate),
    }
}

/// `user` is set as soon as a token was accepted.
async fn join(
    connection: &Arc<Connection>,
    namespace: &str,
    auth: Option<&str>,
    user: &mut Option<Arc<str>>,
) -> Result<(), Refusal> {
    let shared = &connection.shared;
    let feed = shared.feeds.of(namespace);
    let target = shared.namespaces.find(namespace);
    if feed.is_none() && target.is_none() {
        return Err(Refusal::Permanent("invalid_namespace"));
    }
    let auth = ConnectAuth::parse(auth);
    let identity = identify(connection, &auth).await?;
    *user = identity.as_ref().map(|identity| Arc::clone(&identity.user_id));
    match (feed, target, identity) {
        (Some(feed), _, identity) => connect_feed::join(connection, feed, identity, &auth).await,
        (None, Some(target), Some(identity)) => join_namespace(connection, target, identity).await,
        _ => Err(Refusal::Permanent("missing_token")),
    }
}

async fn join_namespace(
    connection: &Arc<Connection>,
    namespace: &Arc<Namespace<Client>>,
    identity: Arc<Identity>,
) -> Result<(), Refusal> {
    let standing = connection.session.lock().begin(&identity);
    match standing {
        Standing::Same => {
            let user = connection.belongs_to(&identity.user_id);
            admit(connection, namespace, identity, user, None);
            Ok(())
        }
        Standing::Other => Err(Refusal::Permanent("session_conflict")),
        Standing::Ended => Err(Refusal::Temporary),
        Standing::Claim => begin(connection, namespace, identity).await,
    }
}

/// Joins the connection's first namespace, and claims its session.
pub(super) async fn begin(
    connection: &Arc<Connection>,
    namespace: &Arc<Namespace<Client>>,
    identity: Arc<Identity>,
) -> Result<(), Refusal> {
    let shared = &connection.shared;
    let user = connection.belongs_to(&identity.user_id);
    if user.connect(now()).is_err() {
        // Refuse before the claim, so that the CONNECT costs the cluster nothing and evicts no other session.
        connection.session.lock().abandon();
        return Err(Refusal::TooFast);
    }
    let is_gone = || connection.session.lock().is_ended();
    let Ok(_turn) = deadline::not_counted(shared.connecting.pass(is_gone)).await else {
        connection.session.lock().abandon();
        return Err(Refusal::Temporary);
    };
    let gaps = shared.lease.gaps();
    let granted = claim(connection, &identity).await.inspect_err(|_| {
        connection.session.lock().abandon();
        shared.connections.remove(connection.id);
    })?;
    connection.release_permit();
    admit(connection, namespace, identity, user, Some(granted));
    settle(connection, gaps);
    Ok(())
}

/// The identity in the client's token; `None` if the client sent none.
async fn identify(connection: &Connection, auth: &ConnectAuth) -> Result<Option<Arc<Identity>>, Refusal> {
    if let Some(token) = &auth.token {
        return verify(connection, token).await.map(Some);
    }
    let token = connection.entry.lock().token.clone();
    let identity = match token {
        None => return Ok(None),
        Some(HandshakeToken::Verified(identity)) if identity.expires_at > unix_now() => identity,
        Some(HandshakeToken::Verified(_)) => return Err(Refusal::Permanent("token_expired")),
        Some(HandshakeToken::Text(text)) => {
            let identity = verify(connection, &text).await?;
            connection.entry.lock().token = Some(HandshakeToken::Verified(Arc::clone(&identity)));
            identity
        }
    };
    Ok(Some(identity))
}

async fn verify(connection: &Connection, token: &str) -> Result<Arc<Identity>, Refusal> {
    let identity = connection.shared.verifier.verify(token).await.map_err(|error| match error {
        TokenError::Invalid => Refusal::Permanent("invalid_token"),
        TokenError::Expired => Refusal::Permanent("token_expired"),
        TokenError::KeysUnavailable => Refusal::Temporary,
    })?;
    // A configured issuer may write any id into a token, but no user may send messages as the system.
    if *identity.user_id == *SYSTEM.id {
        return Err(Refusal::Permanent("invalid_token"));
    }
    Ok(identity)
}

/// Admits the client to the namespace. Sends CONNECT first, `authenticated` second, and everything else after them.
/// `granted` is the claim of the connection's first namespace; in another one, the number of unread notifications
/// follows as soon as the back end answers.
fn admit(
    connection: &Arc<Connection>,
    namespace: &Arc<Namespace<Client>>,
    identity: Arc<Identity>,
    user: Arc<User>,
    granted: Option<Granted>,
) {
    let shared = &connection.shared;
    let id = SocketId::random();
    let authenticated = json!({
        "success": true,
        "userId": identity.user_id,
        "email": identity.email,
        "socketId": id,
        "expiresAt": rfc3339_of_unix(identity.expires_at),
    });
    let client =
        Arc::new(Client::new(id, connection.id, Arc::clone(namespace), identity, user, connection.outbox.clone()));
    let misses_events;
    let (sent, missed_push) = {
        // Under the lock, so that a concurrent eviction sends its events after CONNECT.
        let mut session = connection.session.lock();
        if session.is_ended() || session.sockets.iter().any(|other| other.namespace.name == namespace.name) {
            return;
        }
        session.sockets.push(Arc::clone(&client));
        misses_events = granted.is_some_and(|granted| session.user_cursor.begin(granted.end));
        connection.admitted(&mut session);
        let connected = Frame::connect(&namespace.name, &id.to_string(), None);
        let authenticated = Frame::event(&namespace.name, "authenticated", &authenticated);
        let news = granted.into_iter().flat_map(|granted| news(shared, &client, granted));
        let mut frames = std::iter::once(connected).chain(authenticated).chain(news);
        let sent = frames.try_for_each(|frame| client.outbox().send(&frame));
        namespace.members.join(Arc::clone(&client));
        (sent, session.take_missed_push())
    };
    if sent.is_err() {
        connection.outbox.abort(CloseReason::TooSlow);
    }
    connection.renew(client.identity.expires_at);
    if misses_events {
        shared.behind.push(connection.id);
    }
    if granted.is_none() || missed_push {
        shared.unread.push([client.session_ref()]);
    }
    shared.roster_changed(namespace);
    metrics::CONNECTS.add(1);
}

/// The events that a connection's first socket gets at once: the number of unread notifications, and the announcement
/// of its own user, which the arriving session gets from nobody else.
fn news(shared: &Shared, client: &Client, granted: Granted) -> impl Iterator<Item = Frame> {
    let namespace = &client.namespace;
    let count = notification::count(granted.unread, &now_rfc3339());
    metrics::DELIVERIES.add(1);
    let is_told = || &*namespace.name == MAIN && shared.roster.is_listed(namespace.members.len() + 1);
    let arrived = granted.arrived.filter(|_| is_told());
    let announced = arrived.and_then(|at| announcement(PresenceChange::Online, at, &client.identity.user_id));
    std::iter::once(Frame::event_content(&namespace.name, &count)).chain(announced)
}

/// The claim is complete: handles an end, an eviction, a lost lease or a bus gap since it began; `gaps` is the number
/// of bus gaps at that time.
fn settle(connection: &Arc<Connection>, gaps: u64) {
    let shared = &connection.shared;
    let held = connection.session.lock().incarnation();
    // After a lost lease, re-register all sessions: this one is registered under the old incarnation.
    let lost_lease = shared.lease.incarnation() != held;
    let (release, evicted) = connection.session.lock().settle();
    if let Some((user, incarnation)) = release {
        shared.releases.push(Stay::online(&connection.session_ref(user)), incarnation);
    }
    if evicted {
        connection.evicted();
    } else if lost_lease || shared.lease.gaps() != gaps {
        // The bus may have lost an eviction of this session, and re-registering skipped it because it was being
        // claimed: re-register again.
        shared.lease.reassert_soon();
    }
}
