//! [`crate::recovery`] over Redis: a hash for each record, in the slot of its user's keys.

use std::sync::{Arc, LazyLock};

use redis::{RedisError, RedisResult, Script, Value, from_redis_value};

use crate::{
    Unavailable,
    ids::{RecordId, SessionRef, SocketId},
    recovery::{Place, Record},
    redis::link::RedisLink,
};

static OPEN: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("../sessions/common.lua"), include_str!("common.lua"), include_str!("open.lua")))
});
static NOTE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("note.lua")));

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
    ) -> Result<(), Unavailable> {
        self.open(session, record, namespace, &socket.to_string()).await.map(drop)
    }

    pub(crate) async fn resume(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
    ) -> Result<Option<Record>, Unavailable> {
        let answer = self.open(session, record, namespace, "resume").await?;
        let mut parts = answer.into_iter();
        let (Some(socket), Some(rooms)) = (parts.next(), parts.next()) else { return Ok(None) };
        let record = || -> RedisResult<Record> {
            Ok(Record { socket: socket_of(socket)?, rooms: rooms_of(from_redis_value(rooms)?)?, before: None })
        };
        record().map(Some).map_err(|_| Unavailable)
    }

    async fn open(
        &self,
        SessionRef { user, session }: &SessionRef,
        record: RecordId,
        namespace: &str,
        wanted: &str,
    ) -> Result<Vec<Value>, Unavailable> {
        let keys = &self.link.keys;
        let mut call = OPEN.key(keys.sessions(user));
        call.arg(session.as_str()).arg(keys.records(user)).arg(record.to_string()).arg(namespace).arg(wanted);
        self.link.script(&call).await
    }

    pub(crate) async fn forget(
        &self,
        session: &SessionRef,
        record: RecordId,
        namespace: &str,
    ) -> Result<(), Unavailable> {
        self.open(session, record, namespace, "forget").await.map(drop)
    }

    pub(crate) async fn enter(
        &self,
        session: &SessionRef,
        record: RecordId,
        place: Place<'_>,
    ) -> Result<(), Unavailable> {
        self.note(session, record, place, place.room).await
    }

    pub(crate) async fn leave(
        &self,
        session: &SessionRef,
        record: RecordId,
        place: Place<'_>,
    ) -> Result<(), Unavailable> {
        self.note(session, record, place, "").await
    }

    async fn note(
        &self,
        SessionRef { user, session }: &SessionRef,
        record: RecordId,
        Place { namespace, number, .. }: Place<'_>,
        room: &str,
    ) -> Result<(), Unavailable> {
        let mut call = NOTE.key(format!("{}{record}", self.link.keys.records(user)));
        call.arg(session.as_str()).arg(format!("r{namespace} {number}")).arg(room);
        self.link.script::<i64>(&call).await.map(drop)
    }
}

/// The record in the answer of `connect.lua`: nothing, or the socket, the session before, and the stays.
pub(crate) fn record_of(parts: Vec<Value>) -> RedisResult<Option<Record>> {
    let mut parts = parts.into_iter();
    let (Some(socket), Some(before)) = (parts.next(), parts.next()) else { return Ok(None) };
    let before = from_redis_value::<String>(before)?;
    Ok(Some(Record {
        socket: socket_of(socket)?,
        rooms: rooms_of(parts.collect())?,
        before: Some(before.as_str().into()),
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
