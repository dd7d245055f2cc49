//! The users whose presence each member subscribed to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;

use super::MemberKey;

/// Most users that one member may watch.
pub const MAX_WATCHED: usize = 500;

/// Members of one namespace by the users they watch.
#[derive(Default)]
pub struct Watchers {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_user: HashMap<Arc<str>, HashSet<MemberKey>>,
    by_member: HashMap<MemberKey, Vec<Arc<str>>>,
}

impl Watchers {
    /// `member` watches exactly these users from now on.
    pub fn watch(&self, member: MemberKey, users: Vec<Arc<str>>) {
        let mut inner = self.inner.lock();
        inner.forget(member);
        for user in &users {
            inner.by_user.entry(Arc::clone(user)).or_default().insert(member);
        }
        if !users.is_empty() {
            inner.by_member.insert(member, users);
        }
    }

    /// `member` has left.
    pub fn forget(&self, member: MemberKey) {
        self.inner.lock().forget(member);
    }

    /// The members that watch `user`.
    #[must_use]
    pub fn of(&self, user: &str) -> Vec<MemberKey> {
        self.inner.lock().by_user.get(user).map(|members| members.iter().copied().collect()).unwrap_or_default()
    }
}

impl Inner {
    fn forget(&mut self, member: MemberKey) {
        for user in self.by_member.remove(&member).unwrap_or_default() {
            if let Some(members) = self.by_user.get_mut(&user) {
                members.remove(&member);
                if members.is_empty() {
                    self.by_user.remove(&user);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_list_replaces_the_old_and_nothing_stays_behind() {
        let watchers = Watchers::default();
        watchers.watch(1, vec!["a".into(), "b".into()]);
        watchers.watch(1, vec!["b".into()]);
        watchers.watch(2, vec!["b".into()]);
        assert_eq!((watchers.of("a"), watchers.of("b").len()), (vec![], 2));
        watchers.forget(1);
        watchers.forget(2);
        assert!(watchers.inner.lock().by_user.is_empty() && watchers.inner.lock().by_member.is_empty());
    }
}
