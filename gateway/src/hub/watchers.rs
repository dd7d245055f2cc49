//! The users whose presence each member subscribed to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jackfield_cluster::ids::SocketId;
use parking_lot::Mutex;

use super::Member;

/// Most users that one member may watch.
pub(crate) const MAX_WATCHED: usize = 500;

/// Members of one namespace by the users they watch.
pub(crate) struct Watchers<M>(Mutex<Inner<M>>);

struct Inner<M> {
    by_user: HashMap<Arc<str>, HashSet<SocketId>>,
    by_member: HashMap<SocketId, Watcher<M>>,
}

/// A member, and the users that it watches.
type Watcher<M> = (Arc<M>, Vec<Arc<str>>);

impl<M: Member> Watchers<M> {
    /// Replaces the list of users that `member` watches.
    pub(crate) fn watch(&self, member: &Arc<M>, users: Vec<Arc<str>>) {
        let mut inner = self.0.lock();
        inner.forget(member.id());
        for user in &users {
            inner.by_user.entry(Arc::clone(user)).or_default().insert(member.id());
        }
        if !users.is_empty() {
            inner.by_member.insert(member.id(), (Arc::clone(member), users));
        }
    }

    /// Removes a member and its list, unless another one has its id.
    pub(crate) fn forget(&self, member: &Arc<M>) {
        let mut inner = self.0.lock();
        if inner.by_member.get(&member.id()).is_some_and(|(found, _)| Arc::ptr_eq(found, member)) {
            inner.forget(member.id());
        }
    }

    /// The members that watch `user`.
    pub(crate) fn of(&self, user: &str) -> Vec<Arc<M>> {
        let inner = self.0.lock();
        let ids = inner.by_user.get(user).into_iter().flatten();
        ids.filter_map(|id| inner.by_member.get(id).map(|(member, _)| Arc::clone(member))).collect()
    }
}

impl<M> Inner<M> {
    fn forget(&mut self, id: SocketId) {
        let Some((_, users)) = self.by_member.remove(&id) else { return };
        for user in users {
            if let Some(members) = self.by_user.get_mut(&user) {
                members.remove(&id);
                if members.is_empty() {
                    self.by_user.remove(&user);
                }
            }
        }
    }
}

impl<M> Default for Watchers<M> {
    fn default() -> Self {
        Self(Mutex::new(Inner { by_user: HashMap::new(), by_member: HashMap::new() }))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::group::tests::TestMember, *};

    #[test]
    fn a_new_list_replaces_the_old_and_nothing_is_left_behind() {
        let watchers = Watchers::default();
        let [one, two] = [1, 2].map(TestMember::new);
        watchers.watch(&one, vec!["a".into(), "b".into()]);
        watchers.watch(&one, vec!["b".into()]);
        watchers.watch(&two, vec!["b".into()]);
        assert_eq!((watchers.of("a").len(), watchers.of("b").len()), (0, 2));
        watchers.forget(&TestMember::new(1));
        assert_eq!(watchers.of("b").len(), 2, "another member with the same id");
        watchers.forget(&one);
        watchers.forget(&two);
        let inner = watchers.0.lock();
        assert!(inner.by_user.is_empty() && inner.by_member.is_empty());
    }
}
