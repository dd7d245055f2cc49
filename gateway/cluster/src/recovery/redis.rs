//! [`crate::recovery`] over Redis: a hash for each record, in the slot of its user's keys.

use std::sync::{Arc, LazyLock};

use jackfield_shared::claims::Marks;
use redis::{RedisError, RedisResult, Value, from_redis_value};

use crate::{
    Unavailable,
    ids::{RecordId, SessionRef, SocketId},
    partition::Partition,
    recovery::{Place, Record},
    redis::{
        link::RedisLink,
        script::{Source, script},
    },
};

static OPEN: LazyLock<Source> = script!("../sessions/common.lua", "common.lua", "open.lua");
static NOTE: LazyLock<Source> = script!("note.lua");

/// All records.
#[derive(Clone)]
pub struct RedisRecovery {
    link: Arc<RedisLink>,
}

impl RedisRecovery {
    pub(crate) fn new(link: Arc<RedisLink>) -> Self {
        Self { link }
    }

    pub(crate) async fn begin(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
        socket: SocketId,
        token: Marks,
    ) -> Result<(), Unavailable> {
        self.open(session, record, namespace, &[socket.to_string(), token.to_string()]).await.map(drop)
    }

    pub(crate) async fn resume(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
    ) -> Result<Option<Record>, Unavailable> {
        let answer = self.open(session, record, namespace, &["resume".to_owned()]).await?;
        record_of(answer).map_err(|_| Unavailable)
    }

    async fn open(
        &self,
        SessionRef { user, session }: &SessionRef,
        record: RecordId,
        namespace: &str,
        wanted: &[String],
    ) -> Result<Vec<Value>, Unavailable> {
        let keys = &self.link.keys;
        let (records, record) = (keys.records(user), record.to_string());
        let mut call = self.link.call(&OPEN, &[keys.sessions(user), format!("{records}{record}")], 6, 512);
        call.arg(session.as_str()).arg(records).arg(record).arg(namespace).arg(wanted);
        self.link.run(Partition::of(user), &call).await
    }

    pub(crate) async fn forget(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
    ) -> Result<(), Unavailable> {
        self.open(session, record, namespace, &["forget".to_owned()]).await.map(drop)
    }

    pub(crate) async fn enter(
        &self,
        session: &SessionRef,
        record: RecordId,
        place: Place<'_>,
    ) -> Result<(), Unavailable> {
        self.note(session, record, &stay(place), place.room).await
    }

    pub(crate) async fn leave(
        &self,
        session: &SessionRef,
        record: RecordId,
        place: Place<'_>,
    ) -> Result<(), Unavailable> {
        self.note(session, record, &stay(place), "").await
    }

    pub(crate) async fn watch(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
        users: &[Arc<str>],
    ) -> Result<(), Unavailable> {
        // Text always serializes.
        let list = serde_json::to_string(users).unwrap_or_default();
        self.note(session, record, &format!("w{namespace}"), if users.is_empty() { "" } else { &list }).await
    }

    async fn note(
        &self,
        SessionRef { user, session }: &SessionRef,
        record: RecordId,
        field: &str,
        value: &str,
    ) -> Result<(), Unavailable> {
        let key = format!("{}{record}", self.link.keys.records(user));
        let mut call = self.link.call(&NOTE, &[key], 3, 256 + value.len());
        call.arg(session.as_str()).arg(field).arg(value);
        self.link.run::<i64>(Partition::of(user), &call).await.map(drop)
    }
}

/// The field of a stay.
fn stay(Place { namespace, number, .. }: Place<'_>) -> String {
    format!("r{namespace} {number}")
}

/// The record in the answer of a script: nothing, or the socket, the session before or "", the watched users, the
/// token's marks, and the stays.
pub(crate) fn record_of(parts: Vec<Value>) -> RedisResult<Option<Record>> {
    let mut parts = parts.into_iter();
    let Some(socket) = parts.next() else { return Ok(None) };
    let mut next = || from_redis_value::<String>(parts.next().unwrap_or(Value::Nil));
    let (before, watched, token) = (next()?, next()?, next()?);
    Ok(Some(Record {
        socket: socket_of(socket)?,
        rooms: rooms_of(parts.collect())?,
        watched: serde_json::from_str::<Vec<String>>(&watched).unwrap_or_default().into_iter().map(Arc::from).collect(),
        before: Some(before.as_str().into()).filter(|_| !before.is_empty()),
        // Empty in the record of an earlier version.
        token: token.parse().unwrap_or_default(),
    }))
}

fn socket_of(value: Value) -> RedisResult<SocketId> {
    let text = from_redis_value::<String>(value)?;
    SocketId::parse(&text).ok_or_else(|| strange("a socket"))
}

fn rooms_of(flat: Vec<Value>) -> RedisResult<Vec<(u32, Arc<str>)>> {
    let texts = flat.into_iter().map(from_redis_value::<String>).collect::<Result<Vec<_>, _>>()?;
    let stay = |pair: &[String]| match pair {
        [number, room] => Ok((number.parse().map_err(|_| strange("a stay"))?, room.as_str().into())),
        _ => Err(strange("a stay")),
    };
    texts.chunks(2).map(stay).collect()
}

fn strange(what: &'static str) -> RedisError {
    RedisError::from((redis::ErrorKind::UnexpectedReturnType, "a record has a part that is no such thing", what.into()))
}
