//! Handles the answers of a server about subscriptions: confirmations, refusals, and channels that it dropped by itself.

use redis::{ErrorKind, PushKind, RedisError, RedisResult, ServerError, ServerErrorKind, Value};

use super::{
    connection::Connection,
    ledger::{Subject, Unsubscribed},
    listener::Listener,
};
use crate::partition::Partition;

impl Listener {
    /// Handles an answer, or what the server says unasked.
    pub(super) fn handle(&self, value: Value, connection: &mut Connection) -> RedisResult<()> {
        let (kind, data) = match value {
            Value::Push { kind, data } => (kind, data),
            Value::ServerError(error) => return self.refused(error, connection),
            _ => return Err((ErrorKind::UnexpectedReturnType, "Redis sent an answer that nothing asked for").into()),
        };
        let Some(Value::BulkString(name)) = data.first() else { return Ok(()) };
        let Ok(name) = std::str::from_utf8(name) else { return Ok(()) };
        match kind {
            PushKind::Subscribe | PushKind::SSubscribe => self.subscribed(name, connection),
            PushKind::Unsubscribe | PushKind::SUnsubscribe => self.unsubscribed(name, connection),
            _ => {}
        }
        Ok(())
    }

    fn subscribed(&self, name: &str, connection: &mut Connection) {
        match connection.ledger.subscribed(name) {
            Some((_, Subject::Probe)) => self.send_probe(name),
            Some((name, Subject::Channel(_))) => {
                self.hub.book.lock().confirmed(self.place, &name);
                connection.may_owe = true;
            }
            // The request counted as refused, and the node does not want the channel any more.
            None => {
                let unwanted = vec![(Partition::FIRST, name.into())];
                self.hub.kind.unsubscribe(unwanted).iter().for_each(|command| connection.wire.push(command));
            }
        }
    }

    fn unsubscribed(&self, name: &str, connection: &mut Connection) {
        match connection.ledger.unsubscribed(name) {
            Unsubscribed::Stale => {}
            // It may be wanted again by now.
            Unsubscribed::AsAsked => self.hub.book.lock().look_at(self.place, &name.into()),
            Unsubscribed::Moved => {
                self.server.may_have_moved();
                self.hub.book.lock().unsubscribed(self.place, name);
                connection.again.push(name.into());
            }
        }
    }

    /// The server refuses a request. If it may accept it later, or another one does, it is made again.
    fn refused(&self, error: ServerError, connection: &mut Connection) -> RedisResult<()> {
        let slot = match error.kind() {
            Some(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
                self.server.may_have_moved();
                let slot = error.details().and_then(|details| details.split(' ').next()?.parse().ok());
                Some(slot.ok_or_else(|| RedisError::from((ErrorKind::Parse, "a redirection without a slot")))?)
            }
            Some(ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain | ServerErrorKind::BusyLoading) => None,
            _ => return Err(error.into()),
        };
        connection.again.extend(connection.ledger.refused(slot));
        Ok(())
    }
}
