//! Asks a hook whether a client may join its namespace, before the session is claimed: a refused client evicts nobody.
//!
//! | the backend answers | the client |
//! |---|---|
//! | 2xx `{join?, data?}`, or without a body | is let in, and in these rooms before it can send an event |
//! | 403 `{code}` | is refused permanently, with this code |
//! | anything else, or nothing in time | is refused temporarily |
//!
//! The first CONNECT of a connection waits for the answer. For another namespace, the answer comes back into the queue of
//! the connection's packets as [`Asked`], so that the events of its other sockets do not wait.
//!
//! Guarantees: at most one call for each CONNECT that the limits of the user let pass; no call outlives its connection by
//! more than [`CHECK_EVERY`]; other clients do not wait. Deliberately remembers no answer: each CONNECT is asked for.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use jackfield_cluster::{
    deadline,
    ids::{SocketId, random_id},
    recovery::Wish,
    room_name::RoomName,
    wire::Command,
};
use jackfield_shared::{
    claims::Identity,
    json_depth::{MAX_DEPTH, is_deeper},
    time::now_rfc3339,
    trace::{Origin, Span, SpanKind, within},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::time::sleep;

use super::{Client, Connection, Sender, refusal::Refusal};
use crate::{
    hook::{Answer, Hook, is_code},
    hub::Namespace,
};

/// Most bytes of a client's `auth` that the hook is told, and of a socket's data.
const MAX_AUTH: usize = 4_096;
const MAX_DATA: usize = 4_096;
/// Most rooms of an answer.
const MAX_ROOMS: usize = 100;
/// Fields of `auth` that are the gateway's matter.
const HIDDEN: [&str; 3] = ["token", "pid", "offset"];
/// The code of a refusal without one.
const DEFAULT_CODE: &str = "rejected";
/// Time between two checks whether a client that waits has gone.
const CHECK_EVERY: Duration = Duration::from_millis(200);

/// The hook of a namespace, and what the client sent.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) hook: &'a Arc<Hook>,
    /// The payload of the CONNECT.
    pub(super) auth: Option<&'a str>,
}

/// The word of the namespace's hook about a CONNECT.
pub(super) enum Verdict<'a> {
    /// There is no hook.
    Free,
    /// It must be asked.
    Ask(Question<'a>),
    /// It has answered.
    Said(Entrant, Result<Welcome, Refusal>),
}

/// The rooms and data of a client that is admitted; empty if no hook was asked.
#[derive(Default)]
pub(super) struct Welcome {
    join: Vec<Arc<str>>,
    data: Option<Arc<RawValue>>,
}

/// A CONNECT whose hook has answered.
pub(super) struct Asked {
    ticket: u32,
    pub(super) namespace: Box<str>,
    /// The payload of the CONNECT.
    pub(super) auth: Option<Box<str>>,
    pub(super) entrant: Entrant,
    pub(super) answer: Result<Welcome, Refusal>,
}

/// The socket that a client will have.
pub(super) struct Entrant {
    /// The client's wish to be recovered.
    pub(super) wish: Option<Wish>,
    /// The id of a new socket without a wish.
    pub(super) socket: SocketId,
}

impl Entrant {
    /// The id of the socket. A client that is recovered keeps the id that it had, and nobody knows yet whether it is.
    fn certain_id(&self) -> Option<SocketId> {
        match &self.wish {
            None => Some(self.socket),
            Some(wish) => wish.resume.is_none().then_some(wish.socket),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    id: &'a str,
    r#type: &'static str,
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket_id: Option<String>,
    session: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Map<String, Value>>,
    user: Value,
    timestamp: String,
}

impl Question<'_> {
    /// Asks the hook.
    pub(super) async fn ask(
        self,
        connection: &Connection,
        namespace: &Namespace<Client>,
        identity: &Identity,
        entrant: &Entrant,
    ) -> Result<Welcome, Refusal> {
        let id = format!("con_{}", random_id());
        let request = Request {
            id: &id,
            r#type: "connect",
            namespace: &namespace.name,
            socket_id: entrant.certain_id().map(|socket| socket.to_string()),
            session: connection.id.to_string(),
            auth: self.auth.and_then(shown),
            user: json!({
                "id": identity.user_id,
                "email": identity.email,
                "name": identity.name,
                "roles": identity.roles,
            }),
            timestamp: now_rfc3339(),
        };
        let body = serde_json::to_vec(&request).map_err(|_| Refusal::Temporary)?;
        let call = self.hook.call(&id, Bytes::from(body));
        let answer = tokio::select! {
            answer = deadline::not_counted(call) => answer.map_err(|_| Refusal::Temporary)?,
            () = ended(connection) => return Err(Refusal::Temporary),
        };
        let max_rooms = connection.shared.settings.limits.rooms as usize;
        read(answer, if max_rooms == 0 { MAX_ROOMS } else { max_rooms.min(MAX_ROOMS) })
    }

    /// Asks the hook in the background; its answer goes into the queue of the connection's packets.
    pub(super) fn ask_later(
        self,
        ticket: u32,
        connection: &Arc<Connection>,
        namespace: &Arc<Namespace<Client>>,
        identity: Arc<Identity>,
        entrant: Entrant,
    ) {
        let (hook, auth) = (Arc::clone(self.hook), self.auth.map(Box::<str>::from));
        let (connection, namespace) = (Arc::clone(connection), Arc::clone(namespace));
        let span = Span::follow(Origin::current(), "connect", SpanKind::Internal);
        let tasks = connection.shared.lifecycle.clone();
        tasks.spawn(async move {
            let question = Question { hook: &hook, auth: auth.as_deref() };
            let answer = within(span, question.ask(&connection, &namespace, &identity, &entrant)).await;
            let asked = Asked { ticket, namespace: (&*namespace.name).into(), auth, entrant, answer };
            let next = connection.queue.lock().resume(Box::new(asked));
            if let Some(next) = next {
                connection.begin(next);
            }
        });
    }
}

impl Asked {
    /// Whether the client still waits for the answer. To be called once.
    pub(super) fn is_wanted(&self, connection: &Connection) -> bool {
        connection.pending_connects(|pending| pending.finish(self.ticket))
    }
}

/// Returns once the connection has ended.
async fn ended(connection: &Connection) {
    while !connection.session.lock().is_ended() {
        sleep(CHECK_EVERY).await;
    }
}

/// The `auth` of a client without what the gateway uses itself; `None` if it is no object, or too long.
fn shown(auth: &str) -> Option<Map<String, Value>> {
    if is_deeper(auth.as_bytes(), MAX_DEPTH) {
        return None;
    }
    let mut auth: Map<String, Value> = serde_json::from_str(auth).ok()?;
    auth.retain(|field, _| !HIDDEN.contains(&&**field));
    let length = serde_json::to_string(&auth).ok()?.len();
    (length <= MAX_AUTH).then_some(auth)
}

/// Reads an answer. One that cannot be used is a temporary refusal.
fn read(mut answer: Answer, max_rooms: usize) -> Result<Welcome, Refusal> {
    let welcome = match answer.status {
        200..=299 => welcome(&answer.body, max_rooms),
        403 => return Err(Refusal::ByHook(code(&answer.body))),
        status @ 400..=499 => Err(format!("status {status}; a refusal has status 403")),
        500..=599 => return Err(Refusal::Temporary),
        status => Err(format!("status {status}: no redirect is followed")),
    };
    welcome.map_err(|reason| {
        answer.refuse(reason);
        Refusal::Temporary
    })
}

fn welcome(body: &[u8], max_rooms: usize) -> Result<Welcome, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Text {
        #[serde(default)]
        join: Vec<String>,
        data: Option<Box<RawValue>>,
    }
    if body.is_empty() {
        return Ok(Welcome::default());
    }
    if is_deeper(body, MAX_DEPTH) {
        return Err(format!("the answer is nested more than {MAX_DEPTH} levels deep"));
    }
    let Text { join, data } =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not as expected: {error}"))?;
    if join.len() > max_rooms {
        return Err(format!("at most {max_rooms} entries in join"));
    }
    if data.as_ref().is_some_and(|data| data.get().len() > MAX_DATA) {
        return Err(format!("data must have at most {MAX_DATA} bytes"));
    }
    let main = "/".into();
    let room = |(index, name): (usize, String)| match RoomName::parse(&main, &name) {
        Some(room) => Ok(room.name),
        None => Err(format!("join[{index}] is no name of a room")),
    };
    Ok(Welcome { join: join.into_iter().enumerate().map(room).collect::<Result<_, _>>()?, data: data.map(Into::into) })
}

/// The code in the body of a refusal.
fn code(body: &[u8]) -> Box<str> {
    #[derive(Deserialize)]
    struct Text {
        code: String,
    }
    let code = serde_json::from_slice(body).ok().map(|Text { code }| code).filter(|code| is_code(code));
    code.map_or_else(|| DEFAULT_CODE.into(), Into::into)
}

impl Welcome {
    /// Keeps the data of the socket. To be called before the socket can leave.
    pub(super) fn keep_data(&mut self, client: &Client, connection: &Connection) {
        if let Some(data) = self.data.take() {
            connection.shared.socket_data.put(client.session, client.id, data);
        }
    }

    /// Joins the rooms. To be called before the client's next packet is handled.
    pub(super) async fn join_rooms(self, connection: &Arc<Connection>, namespace: &str) -> Result<(), Refusal> {
        let client = connection.client(namespace).filter(|_| !self.join.is_empty());
        // Without a client, the connection has ended meanwhile.
        let Some(client) = client else { return Ok(()) };
        let command = Command { join: self.join, ..Command::default() };
        let sender = Sender { shared: &connection.shared, connection, client: &client };
        // The client was promised the rooms: if it cannot be in them, it comes again.
        connection.shared.dispatch.run(sender, &command).await.map_err(|_| Refusal::Temporary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_hook_is_not_told_the_token() {
        let text = |auth: &str| shown(auth).map(|auth| Value::Object(auth).to_string());
        let auth = r#"{"token":"t","pid":"p","offset":"o","recover":true,"device":{"x":1}}"#;
        assert_eq!(text(auth).as_deref(), Some(r#"{"device":{"x":1},"recover":true}"#));
        assert_eq!(text("{}").as_deref(), Some("{}"));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_AUTH));
        for none in ["[]", "null", "7", "{", &deep, &long] {
            assert_eq!(text(none), None, "{none}");
        }
    }

    #[test]
    fn an_answer_lets_in_only_if_all_of_it_is_right() {
        let read = |body: &str| {
            welcome(body.as_bytes(), 2).map(|Welcome { join, data }| (join, data.map(|data| data.get().to_owned())))
        };
        for nothing in ["", "{}", r#"{"join":[],"data":null}"#] {
            assert_eq!(read(nothing), Ok((vec![], None)), "{nothing}");
        }
        let both = read(r#"{"join":["a","b"],"data":{"tier":"gold"}}"#).unwrap();
        assert_eq!(both, (vec!["a".into(), "b".into()], Some(r#"{"tier":"gold"}"#.to_owned())));
        let long = format!(r#"{{"data":"{}"}}"#, "x".repeat(MAX_DATA - 1));
        for (bad, part) in [
            ("OK", "not as expected"),
            (r#"{"rooms":[]}"#, "not as expected"),
            (r#"{"join":["a","b","c"]}"#, "at most 2"),
            (r#"{"join":["a","a b"]}"#, "join[1]"),
            (r#"{"join":["user:x"]}"#, "join[0]"),
            (&long, "4096 bytes"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }

    #[test]
    fn a_refusal_has_a_code() {
        assert_eq!(&*code(br#"{"code":"plan_expired","x":1}"#), "plan_expired");
        for none in ["", "{}", "[]", r#"{"code":"A B"}"#, r#"{"code":7}"#] {
            assert_eq!(&*code(none.as_bytes()), DEFAULT_CODE, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = (welcome(&body, 1), code(&body));
        }
    }
}
