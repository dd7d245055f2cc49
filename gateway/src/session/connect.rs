//! Joins a client to a namespace: verifies the token, asks the namespace's hook, claims the session, sends CONNECT,
//! `authenticated` and the number of unread notifications.
//!
//! Answers permanent refusals with CONNECT_ERROR and temporary ones by closing the transport, because a stock client
//! reconnects by itself only after the latter.

use std::sync::Arc;

use jackfield_cluster::{Unavailable, deadline, ids::SocketId, partition::PartitionSet, presence::Stay};
use jackfield_engine::{CloseReason, Frame};
use jackfield_shared::{
    claims::Identity,
    time::{now, unix_now},
    verify::TokenError,
};

use super::{
    Client, Connection,
    admit::admit,
    claim::claim,
    connect_auth::ConnectAuth,
    connect_feed,
    connect_hook::{Asked, Entrant, Question, Verdict, Welcome},
    handshake_token::HandshakeToken,
    newcomer::Asking,
    refusal::Refusal,
    registry::{Ending, Release},
    state::Standing,
};
use crate::{hub::Namespace, metrics, room::SYSTEM};

pub(super) async fn connect(connection: &Arc<Connection>, namespace: &str, auth: Option<&str>) {
    join_or_refuse(connection, namespace, auth, None).await;
}

/// Continues with a CONNECT whose hook has answered. Its token is judged again, because time has passed.
pub(super) async fn resume(connection: &Arc<Connection>, asked: Asked) {
    if asked.is_wanted(connection) {
        let (namespace, auth) = (asked.namespace.clone(), asked.auth.clone());
        join_or_refuse(connection, &namespace, auth.as_deref(), Some(asked)).await;
    }
}

async fn join_or_refuse(connection: &Arc<Connection>, namespace: &str, auth: Option<&str>, asked: Option<Asked>) {
    if connection.session.lock().is_ended() {
        return;
    }
    connection.forget_refusal(namespace);
    let mut user = None;
    let Err(refusal) = join(connection, namespace, auth, asked, &mut user).await else { return };
    metrics::REFUSED.add_for([refusal.label()], 1);
    let (session, code) = (&connection.id, refusal.code());
    tracing::info!(%session, user = user.as_deref(), namespace, code, "refused a CONNECT");
    match &refusal {
        Refusal::Permanent(_) | Refusal::ByHook(_) => {
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
    asked: Option<Asked>,
    user: &mut Option<Arc<str>>,
) -> Result<(), Refusal> {
    let shared = &connection.shared;
    let feed = shared.feeds.of(namespace);
    let target = shared.namespaces.find(namespace);
    if feed.is_none() && target.is_none() {
        return Err(Refusal::Permanent("invalid_namespace"));
    }
    let text = auth;
    let auth = ConnectAuth::parse(text);
    let identity = identify(connection, &auth).await?;
    *user = identity.as_ref().map(|identity| Arc::clone(&identity.user_id));
    let identity = identity.map(|identity| connection.accept(identity)).transpose()?;
    let verdict = match (asked, shared.hooks.for_connect(namespace)) {
        (Some(Asked { entrant, answer, .. }), _) => Verdict::Said(entrant, answer),
        (None, Some(hook)) => Verdict::Ask(Question { hook, auth: text }),
        (None, None) => Verdict::Free,
    };
    match (feed, target, identity) {
        (Some(feed), _, identity) => connect_feed::join(connection, feed, identity, &auth).await,
        (None, Some(target), Some(identity)) => join_namespace(connection, target, identity, &auth, verdict).await,
        _ => Err(Refusal::Permanent("missing_token")),
    }?;
    // The list of revocations may have changed since: while the client was joining, nothing else judged its token.
    if connection.judge_again() {
        Box::pin(connection.leave_forbidden_rooms()).await;
    }
    Ok(())
}

async fn join_namespace(
    connection: &Arc<Connection>,
    namespace: &Arc<Namespace<Client>>,
    identity: Arc<Identity>,
    auth: &ConnectAuth,
    verdict: Verdict<'_>,
) -> Result<(), Refusal> {
    let standing = connection.session.lock().begin(&identity);
    match standing {
        // A second CONNECT must not change the socket's record.
        Standing::Same if connection.client(&namespace.name).is_some() => Ok(()),
        Standing::Same => Box::pin(join_another(connection, namespace, identity, auth, verdict)).await,
        Standing::Other => Err(Refusal::Permanent("session_conflict")),
        Standing::Ended => Err(Refusal::Temporary),
        Standing::Claim => begin(connection, namespace, identity, auth, verdict).await,
    }
}

/// Joins another namespace of the same session. If its hook must be asked first, [`resume`] continues.
async fn join_another(
    connection: &Arc<Connection>,
    namespace: &Arc<Namespace<Client>>,
    identity: Arc<Identity>,
    auth: &ConnectAuth,
    verdict: Verdict<'_>,
) -> Result<(), Refusal> {
    let user = connection.belongs_to(&identity.user_id);
    let entrant = || Entrant { wish: connection.wish(namespace, &identity, auth), socket: SocketId::random() };
    let (Entrant { wish, socket }, mut welcome) = match verdict {
        Verdict::Free => (entrant(), Welcome::default()),
        Verdict::Said(entrant, answer) => (entrant, answer?),
        Verdict::Ask(question) => {
            // A further CONNECT meanwhile gets the same answer.
            let ticket = connection.pending_connects(|pending| pending.begin(&namespace.name));
            let Some(ticket) = ticket else { return Ok(()) };
            // It costs the backend as much as a connection's first CONNECT.
            user.connect(now()).map_err(|_| Refusal::TooFast)?;
            let entrant = entrant();
            question.ask_later(ticket, connection, namespace, identity, entrant);
            return Ok(());
        }
    };
    let newcomer = Asking { connection, namespace, identity, user, auth, socket }.another(wish).await;
    admit(connection, newcomer.map_err(|Unavailable| Refusal::Temporary)?, None, &mut welcome)?;
    welcome.join_rooms(connection, &namespace.name).await
}

/// Joins the connection's first namespace, and claims its session.
pub(super) async fn begin(
    connection: &Arc<Connection>,
    namespace: &Arc<Namespace<Client>>,
    identity: Arc<Identity>,
    auth: &ConnectAuth,
    verdict: Verdict<'_>,
) -> Result<(), Refusal> {
    let shared = &connection.shared;
    let user = connection.belongs_to(&identity.user_id);
    if user.connect(now()).is_err() {
        // Refuse before the claim, so that the CONNECT costs the cluster nothing and evicts no other session.
        connection.session.lock().abandon();
        return Err(Refusal::TooFast);
    }
    let entrant = || Entrant { wish: connection.wish(namespace, &identity, auth), socket: SocketId::random() };
    let (Entrant { wish, socket }, asked) = match verdict {
        Verdict::Free => (entrant(), Ok(Welcome::default())),
        Verdict::Said(entrant, answer) => (entrant, answer),
        Verdict::Ask(question) => {
            let entrant = entrant();
            // Before the turn, because a backend takes its time.
            let answer = Box::pin(question.ask(connection, namespace, &identity, &entrant)).await;
            (entrant, answer)
        }
    };
    let mut welcome = asked.inspect_err(|_| connection.session.lock().abandon())?;
    let is_gone = || connection.session.lock().is_ended();
    let Ok(_turn) = deadline::not_counted(shared.connecting.pass(is_gone)).await else {
        connection.session.lock().abandon();
        return Err(Refusal::Temporary);
    };
    let gaps = shared.lease.gaps();
    let granted = claim(connection, &identity, wish.as_ref()).await.inspect_err(|_| {
        connection.session.lock().abandon();
        shared.connections.remove(connection.id);
    })?;
    connection.release_permit();
    let newcomer = Asking { connection, namespace, identity, user, auth, socket }.first(wish, &granted).await;
    let admitted = match newcomer {
        Ok(newcomer) => admit(connection, newcomer, Some(&granted), &mut welcome),
        Err(Unavailable) => Err(Refusal::Temporary),
    };
    if admitted.is_err() {
        // Before the claim is complete, which then releases it.
        connection.close(CloseReason::Unavailable);
    }
    settle(connection, gaps);
    admitted?;
    welcome.join_rooms(connection, &namespace.name).await
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

/// The claim is complete: handles an end, an eviction, a lost lease or a bus gap since it began; `gaps` is the number
/// of bus gaps at that time.
fn settle(connection: &Arc<Connection>, gaps: u64) {
    let shared = &connection.shared;
    let held = connection.session.lock().incarnation();
    // After a lost lease, re-register all sessions: this one is registered under the old incarnation.
    let lost_lease = shared.lease.incarnation() != held;
    let (release, evicted) = connection.session.lock().settle();
    if let Some((user, incarnation, reason)) = release {
        let stay = Stay::online(&connection.session_ref(user));
        shared.releases.push_ending(Release { stay, incarnation, ending: Ending::Open(reason) });
    }
    if evicted {
        connection.evicted();
    } else if lost_lease || shared.lease.gaps() != gaps {
        // The bus may have lost an eviction of this session, and re-registering skipped it because it was being
        // claimed: re-register again.
        shared.lease.reassert_soon(PartitionSet::ALL);
    }
}
