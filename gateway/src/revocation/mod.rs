//! This node's copy of the list of revocations, and the judgement of tokens by it.
//!
//! [`list`]: the copy, without I/O. The node follows the list over the bus, and reads it whenever it may have missed
//! something; see [`crate::node`]. Guarantee: after a change, [`Revocations::changed`] returns, and from then on
//! [`Revocations::judge`] judges by it. Deliberately knows no sockets.

mod list;

use std::sync::Arc;

use jackfield_cluster::{
    log::Position,
    revocations::{Entry, Page},
};
use jackfield_shared::{
    claims::{Identity, Marks},
    time::unix_now,
};
use parking_lot::RwLock;
use tokio::sync::Notify;

use self::list::{List, Received};
pub(crate) use self::list::{Refused, Roles};

/// See the module.
#[derive(Default)]
pub(crate) struct Revocations {
    list: RwLock<List>,
    changed: Notify,
}

impl Revocations {
    /// Judges a token by its user and its marks. Returns the roles that the user has instead of the token's, if they were
    /// changed since.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn judge(&self, user: &str, marks: &Marks) -> Result<Option<Roles>, Refused> {
        self.list.read().judge(user, marks)
    }

    /// Judges a token. Returns its identity, with the user's present roles.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn accept(&self, identity: Arc<Identity>) -> Result<Arc<Identity>, Refused> {
        match self.judge(&identity.user_id, &identity.marks)? {
            Some(roles) if roles != identity.roles => Ok(Arc::new(Identity { roles, ..Identity::clone(&identity) })),
            _ => Ok(identity),
        }
    }

    /// Takes entries that arrived over the bus. False if others may be missing before them: then the node must read the
    /// list. `is_here` says whether a user may have sockets on this node.
    pub(crate) fn receive(&self, last: Position, entries: Vec<Entry>, is_here: impl Fn(&str) -> bool) -> bool {
        let concerns = entries.iter().any(|entry| is_here(&entry.user));
        let received = self.list.write().receive(last, entries);
        if concerns {
            self.changed.notify_one();
        }
        received == Received::InOrder
    }

    /// Takes a page of the list.
    pub(crate) fn read(&self, page: Page) {
        let is_empty = page.entries.is_empty();
        self.list.write().read(page);
        if !is_empty {
            self.changed.notify_one();
        }
    }

    /// The position up to which the list was read; `None` if it must be read from its beginning.
    pub(crate) fn position(&self) -> Option<Position> {
        self.list.read().position()
    }

    /// The entries that the back end has lost.
    pub(crate) fn lost(&self) -> Vec<Entry> {
        self.list.read().lost(unix_now())
    }

    /// Drops the entries that are over.
    pub(crate) fn forget(&self) {
        self.list.write().forget(unix_now());
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.list.read().len()
    }

    /// Waits for a change that may concern sockets of this node.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
