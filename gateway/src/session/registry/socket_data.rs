//! The data that hooks gave sockets when they connected, for the hooks' later calls. Beside the sockets, because most have
//! none.

use std::{collections::HashMap, sync::Arc};

use jackfield_cluster::ids::{SessionKey, SocketId};
use parking_lot::RwLock;
use serde_json::value::RawValue;

/// A socket. Its public id alone would not do: a client that is recovered has the id of its former socket, which may
/// still be about to leave.
type Key = (SessionKey, SocketId);

/// See the module. One entry for each socket at most.
#[derive(Default)]
pub(crate) struct SocketData(RwLock<HashMap<Key, Arc<RawValue>>>);

impl SocketData {
    /// Keeps the data of a socket until [`SocketData::remove`].
    pub(crate) fn put(&self, session: SessionKey, socket: SocketId, data: Arc<RawValue>) {
        self.0.write().insert((session, socket), data);
    }

    pub(crate) fn get(&self, session: SessionKey, socket: SocketId) -> Option<Arc<RawValue>> {
        self.0.read().get(&(session, socket)).cloned()
    }

    /// The socket has left.
    pub(crate) fn remove(&self, session: SessionKey, socket: SocketId) {
        if !self.0.read().is_empty() {
            self.0.write().remove(&(session, socket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_of_one_socket_until_it_leaves() {
        let (data, key) = (SocketData::default(), (SessionKey::random(), SocketId::random()));
        data.remove(key.0, key.1);
        let value: Arc<RawValue> = RawValue::from_string("{}".into()).unwrap().into();
        data.put(key.0, key.1, Arc::clone(&value));
        assert_eq!(data.get(key.0, key.1).map(|data| data.get().to_owned()).as_deref(), Some("{}"));
        data.remove(SessionKey::random(), key.1);
        assert!(data.get(key.0, key.1).is_some() && data.get(SessionKey::random(), key.1).is_none());
        data.remove(key.0, key.1);
        assert!(data.get(key.0, key.1).is_none());
    }
}
