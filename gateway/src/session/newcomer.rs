//! The socket of a client that joins a namespace: a new one, or the one that the client comes back to.

use std::sync::Arc;

use futures_util::FutureExt as _;
use jackfield_cluster::{
    Unavailable,
    connects::Granted,
    ids::{RecordId, SocketId},
    log::Position,
    recovery::{Record, Wish},
};
use jackfield_shared::claims::Identity;

use super::{
    Client, Connection,
    connect_auth::ConnectAuth,
    recovery::{Json, Recoverable, Returning, Tracked, restore, socket_of, wish},
};
use crate::{hub::Namespace, limits::User, metrics};

/// See the module. It must be admitted, or removed as one that has left.
pub(super) struct Newcomer {
    pub(super) client: Arc<Client>,
    /// The client was recovered: it has handled all events up to this offset, which is JSON, and has everything of its
    /// user's log up to this position.
    pub(super) back: Option<(Json, Position)>,
}

/// A client that asks to join a namespace.
pub(super) struct Asking<'a> {
    pub(super) connection: &'a Arc<Connection>,
    pub(super) namespace: &'a Arc<Namespace<Client>>,
    pub(super) identity: Arc<Identity>,
    pub(super) user: Arc<User>,
    pub(super) auth: &'a ConnectAuth,
    /// The id of the socket if it is a new one without a wish.
    pub(super) socket: SocketId,
}

impl Connection {
    /// The client's wish to be recovered now or later; `None` if it has none.
    pub(super) fn wish(&self, namespace: &Namespace<Client>, identity: &Identity, auth: &ConnectAuth) -> Option<Wish> {
        self.recovers(auth).then(|| wish(&namespace.name, auth, self.record(), identity.marks))
    }

    fn record(&self) -> Option<RecordId> {
        self.session.lock().sockets.iter().find_map(|client| client.record())
    }
}

impl Asking<'_> {
    /// The socket in the connection's first namespace, after the claim of its session.
    pub(super) async fn first(self, wish: Option<Wish>, granted: &Granted) -> Result<Newcomer, Unavailable> {
        self.claimed(wish, granted).await.inspect(|newcomer| self.count(newcomer))
    }

    /// The socket in another namespace of the same session.
    pub(super) async fn another(self, wish: Option<Wish>) -> Result<Newcomer, Unavailable> {
        // Boxed, as below: most clients join one namespace, and do not come back, and the future of a connect would have
        // room for it.
        Box::pin(self.in_session(wish)).await.inspect(|newcomer| self.count(newcomer))
    }

    fn count(&self, newcomer: &Newcomer) {
        if self.auth.resume.is_some() && newcomer.client.record().is_some() {
            let outcome = if newcomer.back.is_some() { "recovered" } else { "begun_anew" };
            metrics::RETURNS.add_for([outcome], 1);
        }
    }

    async fn claimed(&self, wish: Option<Wish>, granted: &Granted) -> Result<Newcomer, Unavailable> {
        let Some(wish) = wish else { return Ok(self.newcomer(self.socket, None)) };
        let (Some(record), Some(id)) = (&granted.record, wish.resume) else {
            return Ok(self.newcomer(wish.socket, Some(wish.new)));
        };
        if let Some(before) = record.before.as_ref().and_then(|before| self.connection.shared.connection(before)) {
            // On this node: the socket cannot be there twice.
            before.evicted();
        }
        match self.back(id, record, granted.end, None).await? {
            Some(newcomer) => Ok(newcomer),
            None => Box::pin(self.anew(wish)).await,
        }
    }

    async fn in_session(&self, wish: Option<Wish>) -> Result<Newcomer, Unavailable> {
        let Some(wish) = wish else { return Ok(self.newcomer(self.socket, None)) };
        let end = self.connection.session.lock().user_cursor.at();
        if let (Some(id), Some(end)) = (wish.resume, end) {
            let session = self.connection.session_ref(Arc::clone(&self.identity.user_id));
            let recovery = &self.connection.shared.cluster.recovery;
            let record = recovery.resume(&session, id, &self.namespace.name).await?;
            if let Some(record) = record
                && let Some(newcomer) = self.back(id, &record, end, Some(end)).await?
            {
                return Ok(newcomer);
            }
        }
        self.anew(wish).await
    }

    /// A new socket, in a record that begins now.
    async fn anew(&self, wish: Wish) -> Result<Newcomer, Unavailable> {
        let session = self.connection.session_ref(Arc::clone(&self.identity.user_id));
        let recovery = &self.connection.shared.cluster.recovery;
        recovery.begin(&session, wish.new, &self.namespace.name, wish.socket, wish.token).await?;
        Ok(self.newcomer(wish.socket, Some(wish.new)))
    }

    /// The socket of the record, in its rooms. `None` if the client cannot be recovered. Of the user's log it gets
    /// everything up to `end`, or up to `until` and no more.
    async fn back(
        &self,
        id: RecordId,
        record: &Record,
        end: Position,
        until: Option<Position>,
    ) -> Result<Option<Newcomer>, Unavailable> {
        let returning = Returning { client: self.client(record.socket), id, record, end, until };
        let Some(resume) = &self.auth.resume else { return Ok(None) };
        // The record ended with the login or the token that it belongs to.
        let is_revoked = self.connection.shared.revocations.judge(&self.identity.user_id, &record.token).is_err();
        if is_revoked || socket_of(resume) != Some(record.socket) {
            return Ok(None);
        }
        let restored = restore(&self.connection.shared, returning, &resume.offset).boxed().await?;
        Ok(restored.map(|(client, offset, end)| Newcomer { client, back: Some((offset, end)) }))
    }

    fn newcomer(&self, id: SocketId, record: Option<RecordId>) -> Newcomer {
        let mut client = self.client(id);
        if let Some(record) = record {
            // Its position in the user's log is set when it is admitted.
            let tracked = Tracked::new(Position { epoch: 0, number: 0 }, self.connection.max_recovered_rooms());
            client = client.recoverable(Recoverable::new(record, tracked), 0);
        }
        Newcomer { client: Arc::new(client), back: None }
    }

    fn client(&self, id: SocketId) -> Client {
        let Self { connection, namespace, identity, user, .. } = self;
        let (identity, user, outbox) = (Arc::clone(identity), Arc::clone(user), connection.outbox.clone());
        Client::new(id, connection.id, Arc::clone(namespace), identity, user, outbox)
    }
}
