//! [`crate::connects`] for several nodes of one process: the steps of the other ports, one after the other. The count
//! is read after the claim, so a change in between is in the count, pushed, or both.

use crate::{
    Unavailable,
    connects::{Connected, Granted},
    ids::{Incarnation, SessionRef},
    inbox::memory::MemoryInbox,
    membership::memory::MemoryMembership,
    presence::{Stay, memory::MemoryPresence},
    recovery::Wish,
    sessions::{
        Policy,
        memory::{Claimed, MemorySessions},
    },
};

/// The ports that a connect changes.
#[derive(Clone)]
pub struct MemoryConnects {
    pub(crate) membership: MemoryMembership,
    pub(crate) sessions: MemorySessions,
    pub(crate) presence: MemoryPresence,
    pub(crate) inbox: MemoryInbox,
}

impl MemoryConnects {
    pub(crate) fn connect(
        &self,
        session: &SessionRef,
        by: &Incarnation,
        policy: Policy,
        dead: &[Incarnation],
        wish: Option<&Wish>,
    ) -> Result<Connected, Unavailable> {
        let stay = Stay::online(session);
        self.membership.index_add(by, std::slice::from_ref(&stay))?;
        match self.sessions.claim(session, by, policy, dead, wish) {
            Claimed::Refused(holders) => Ok(Connected::Refused { holders }),
            Claimed::Granted { generation, end, record } => {
                let arrived = self.presence.arrive(stay, by);
                let unread = self.inbox.unread(&session.user)?;
                Ok(Connected::Granted(Granted { generation, unread, arrived, end, record }))
            }
        }
    }
}
