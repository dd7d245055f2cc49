//! Admits a client to its namespace: its socket, the answer to its CONNECT, and what it gets at once.

use std::sync::Arc;

use jackfield_cluster::{connects::Granted, log::Position};
use jackfield_engine::{Frame, Full};
use jackfield_shared::time::{now_rfc3339, rfc3339_of_unix};
use serde_json::json;

use super::{
    Client, Connection, MAIN, Shared,
    announcement::{PresenceChange, announcement},
    connect_hook::Welcome,
    newcomer::Newcomer,
    recovery::{Json, pid},
    refusal::Refusal,
};
use crate::{hub::Member as _, metrics, notification};

/// Admits the client to the namespace. Sends CONNECT first, `authenticated` second, and everything else after them.
/// `granted` is the claim of the connection's first namespace; in another one, the number of unread notifications
/// follows as soon as the back end answers.
pub(super) fn admit(
    connection: &Arc<Connection>,
    newcomer: Newcomer,
    granted: Option<&Granted>,
    welcome: &mut Welcome,
) -> Result<(), Refusal> {
    let shared = &connection.shared;
    let Newcomer { client, back } = newcomer;
    welcome.keep_data(&client, connection);
    let namespace = &client.namespace;
    let misses_events;
    let (sent, missed_push) = {
        // Under the lock, so that a concurrent eviction sends its events after CONNECT.
        let mut session = connection.session.lock();
        let end = back.as_ref().map(|(_, end)| *end);
        let is_here = session.sockets.iter().any(|other| other.namespace.name == namespace.name);
        // The other sockets of its session have got more events meanwhile.
        let is_behind = granted.is_none() && end.is_some() && end != session.user_cursor.at();
        if session.is_ended() || is_here || is_behind {
            drop(session);
            shared.remove_client(&client);
            return if is_behind { Err(Refusal::Temporary) } else { Ok(()) };
        }
        session.sockets.push(Arc::clone(&client));
        misses_events = granted.is_some_and(|granted| session.user_cursor.begin(end.unwrap_or(granted.end)));
        connection.admitted(&mut session);
        let mut sent = greet(&client, back.map(|(offset, _)| offset), session.user_cursor.at());
        for frame in granted.into_iter().flat_map(|granted| news(shared, &client, granted)) {
            sent = sent.and_then(|()| client.outbox().send(&frame));
        }
        if let Some(mut tracked) = client.tracked() {
            sent = sent.and_then(|()| tracked.let_go(client.outbox()));
        }
        namespace.members.join(Arc::clone(&client));
        (sent, session.take_missed_push())
    };
    client.abort_if(sent);
    connection.renew(&client.identity);
    if misses_events {
        shared.behind.push(connection.id);
    }
    if granted.is_none() || missed_push {
        shared.unread.push([client.session_ref()]);
    }
    shared.roster_changed(namespace);
    metrics::CONNECTS.add(1);
    Ok(())
}

/// Sends the answer to the client's CONNECT, and `authenticated`, with the offset of what the client has handled: one
/// that comes back says so itself, a new one has handled everything up to its position in the user's log.
fn greet(client: &Client, handled: Option<Json>, at: Option<Position>) -> Result<(), Full> {
    let (namespace, identity, id) = (&client.namespace.name, &client.identity, client.id());
    let pid = client.record().map(|record| pid(record, id));
    client.outbox().send(&Frame::connect(namespace, &id.to_string(), pid.as_deref()))?;
    let authenticated = json!({
        "success": true,
        "userId": identity.user_id,
        "email": identity.email,
        "socketId": id,
        "expiresAt": rfc3339_of_unix(identity.expires_at),
    });
    let Some(mut authenticated) = Frame::event(namespace, "authenticated", &authenticated) else { return Ok(()) };
    if let Some(mut tracked) = client.tracked() {
        let offset = handled.unwrap_or_else(|| {
            at.into_iter().for_each(|at| tracked.begin(at));
            tracked.offset()
        });
        authenticated = authenticated.with_argument(&offset);
    }
    client.outbox().send(&authenticated)
}

/// The events that a connection's first socket gets at once: the number of unread notifications, and the announcement
/// of its own user, which the arriving session gets from nobody else.
fn news(shared: &Shared, client: &Client, granted: &Granted) -> impl Iterator<Item = Frame> {
    let namespace = &client.namespace;
    let count = notification::count(granted.unread, &now_rfc3339());
    metrics::DELIVERIES.add(1);
    let is_told = || &*namespace.name == MAIN && shared.roster.is_listed(namespace.members.len() + 1);
    let arrived = granted.arrived.filter(|_| is_told());
    let announced = arrived.and_then(|at| announcement(PresenceChange::Online, at, &client.identity.user_id));
    std::iter::once(Frame::event_content(&namespace.name, &count)).chain(announced)
}
