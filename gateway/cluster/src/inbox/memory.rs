//! [`crate::inbox`] for several nodes of one process: one lock is held while an inbox changes and the change is pushed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jackfield_shared::time::now_rfc3339;
use parking_lot::Mutex;

use crate::{
    Unavailable,
    bus::{Channel, memory::MemoryNetwork},
    ids::{NodeId, SessionRef},
    inbox::{Added, Changed, Keep, NotificationId, Page, Posted, REMEMBERED, Stored},
    now_micros,
    sessions::memory::MemorySessions,
    wire::{BusMessage, InboxChange, UserEvent},
};

/// Additions between two sweeps of abandoned inboxes.
const SWEEP_EVERY: u64 = 10_000;

/// All users' inboxes.
#[derive(Clone)]
pub struct MemoryInbox {
    network: MemoryNetwork,
    sessions: MemorySessions,
    keep: Keep,
    users: Arc<Mutex<Users>>,
}

#[derive(Default)]
struct Users {
    inboxes: HashMap<Arc<str>, Notifications>,
    additions: u64,
}

/// One user's inbox.
#[derive(Default)]
struct Notifications {
    /// Oldest first.
    kept: BTreeMap<NotificationId, Kept>,
    /// Recently deleted notifications, and when each was deleted, in Unix milliseconds.
    deleted: HashMap<NotificationId, u64>,
}

struct Kept {
    posted: Posted,
    read: bool,
}

impl Notifications {
    fn unread(&self) -> u64 {
        self.kept.values().filter(|kept| !kept.read).count() as u64
    }

    /// Removes entries that are too old.
    fn forget_old(&mut self, keep: Keep, now: u64) {
        let since = oldest(keep, now);
        while let Some(first) = self.kept.first_entry()
            && first.key().millis() < since
        {
            first.remove();
        }
        self.deleted.retain(|_, at| *at + millis(REMEMBERED) > now);
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.deleted.is_empty()
    }

    /// Whether all entries are too old.
    fn is_abandoned(&self, keep: Keep, now: u64) -> bool {
        self.kept.keys().all(|id| id.millis() < oldest(keep, now))
            && self.deleted.values().all(|at| at + millis(REMEMBERED) <= now)
    }
}

/// The Unix millisecond before which nothing is kept.
fn oldest(keep: Keep, now: u64) -> u64 {
    if keep.age.is_zero() { 0 } else { now.saturating_sub(millis(keep.age)) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl MemoryInbox {
    pub(crate) fn new(network: MemoryNetwork, sessions: MemorySessions, keep: Keep) -> Self {
        Self { network, sessions, keep, users: Arc::default() }
    }

    pub(crate) fn add(&self, user: &Arc<str>, posted: &Posted) -> Result<Added, Unavailable> {
        self.sweep();
        let keep = self.keep;
        self.with(user, |inbox, now| {
            let known = inbox.kept.contains_key(&posted.id) || inbox.deleted.contains_key(&posted.id);
            if known || posted.id.millis() < oldest(keep, now) {
                return (Added { new: false, unread: inbox.unread(), delivered: 0 }, None);
            }
            inbox.kept.insert(posted.id, Kept { posted: posted.clone(), read: false });
            while keep.max > 0 && inbox.kept.len() > keep.max {
                inbox.kept.pop_first();
            }
            let new = inbox.kept.contains_key(&posted.id);
            (
                Added { new, unread: inbox.unread(), delivered: 0 },
                new.then(|| InboxChange::New(Arc::clone(&posted.body))),
            )
        })
        .map(|(added, delivered)| Added { delivered, ..added })
    }

    pub(crate) fn mark_read(&self, user: &Arc<str>, id: Option<NotificationId>) -> Result<Changed, Unavailable> {
        self.with(user, |inbox, _| {
            let mut found = id.is_none();
            for (_, kept) in inbox.kept.iter_mut().filter(|(kept, _)| id.is_none_or(|id| **kept == id)) {
                kept.read = true;
                found = true;
            }
            (Changed { found, unread: inbox.unread() }, found.then_some(InboxChange::Read(id)))
        })
        .map(|(changed, _)| changed)
    }

    pub(crate) fn delete(&self, user: &Arc<str>, id: NotificationId) -> Result<Changed, Unavailable> {
        self.with(user, |inbox, now| {
            let found = inbox.kept.remove(&id).is_some();
            if found {
                inbox.deleted.insert(id, now);
            }
            (Changed { found, unread: inbox.unread() }, found.then_some(InboxChange::Deleted(id)))
        })
        .map(|(changed, _)| changed)
    }

    pub(crate) fn list(
        &self,
        user: &Arc<str>,
        before: Option<NotificationId>,
        limit: usize,
    ) -> Result<Page, Unavailable> {
        self.with(user, |inbox, _| {
            let older = inbox.kept.iter().rev().filter(|(id, _)| before.is_none_or(|before| **id < before));
            let mut page: Vec<&Kept> = older.map(|(_, kept)| kept).take(limit + 1).collect();
            let more = page.len() > limit;
            page.truncate(limit);
            let notifications = page.into_iter().map(|Kept { posted, read }| Stored {
                body: Arc::clone(&posted.body),
                at: Arc::clone(&posted.at),
                read: *read,
            });
            (Page { notifications: notifications.collect(), unread: inbox.unread(), more }, None)
        })
        .map(|(page, _)| page)
    }

    /// How many are unread, for [`crate::connects`].
    pub(crate) fn unread(&self, user: &Arc<str>) -> Result<u64, Unavailable> {
        self.with(user, |inbox, _| (inbox.unread(), None)).map(|(unread, _)| unread)
    }

    pub(crate) fn push_count(&self, sessions: &[SessionRef], node: &NodeId) -> Result<(), Unavailable> {
        for SessionRef { user, session } in sessions {
            self.with(user, |inbox, _| {
                let (sessions, unread) = (vec![session.clone()], inbox.unread());
                let count = BusMessage::Unread { sessions, unread, at: now_rfc3339().into() };
                self.network.publish(&Channel::Node(node.clone()), &count.encode());
                ((), None)
            })?;
        }
        Ok(())
    }

    /// Runs `work` on a user's inbox, and sends the change that it returns to the user, with the count. Without a
    /// change, sends the count if it changed because notifications became too old. Also returns how many sessions the
    /// change was sent to.
    fn with<T>(
        &self,
        user: &Arc<str>,
        work: impl FnOnce(&mut Notifications, u64) -> (T, Option<InboxChange>),
    ) -> Result<(T, usize), Unavailable> {
        let mut users = self.users.lock();
        let inbox = users.inboxes.entry(Arc::clone(user)).or_default();
        let (before, now) = (inbox.unread(), now_micros() / 1_000);
        inbox.forget_old(self.keep, now);
        let (result, change) = work(inbox, now);
        let unread = inbox.unread();
        if inbox.is_empty() {
            users.inboxes.remove(user);
        }
        let at = now_rfc3339().into();
        let delivered = match change {
            Some(change) => self.sessions.send(user, &UserEvent::Inbox { change, unread, at }),
            None => {
                if unread != before {
                    self.sessions.send_unread(user, unread, &at);
                }
                0
            }
        };
        Ok((result, delivered))
    }

    /// Removes abandoned inboxes, every [`SWEEP_EVERY`] additions.
    fn sweep(&self) {
        let mut users = self.users.lock();
        users.additions += 1;
        if users.additions.is_multiple_of(SWEEP_EVERY) {
            let now = now_micros() / 1_000;
            users.inboxes.retain(|_, inbox| !inbox.is_abandoned(self.keep, now));
        }
    }
}
