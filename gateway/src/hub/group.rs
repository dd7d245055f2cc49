//! Members that get the same frames.
//!
//! Guarantees: frames that are fanned out one after the other reach every member in that order; a frame is encoded once
//! and shared; no lock is held across an await; the time of a fan-out depends on the present members, not on how many
//! there were before; a member whose queue is full is disconnected, and no other member waits for it.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use hashbrown::HashTable;
use jackfield_cluster::{ids::SocketId, log::Position};
use jackfield_engine::{CloseReason, Frame, Full, Outbox};
use parking_lot::RwLock;

use crate::metrics;

/// Members that a frame is sent to before the task yields.
const BATCH: usize = 1_024;

/// A member of a group.
pub(crate) trait Member: Send + Sync + 'static {
    /// Unique in the group.
    fn id(&self) -> SocketId;

    /// Its connection's queue.
    fn outbox(&self) -> &Outbox;

    /// Queues a frame.
    fn try_send(&self, frame: &Frame) -> Result<(), Full> {
        self.outbox().send(frame)
    }

    /// Queues an event with which the member has everything of the room up to this position.
    fn try_send_at(&self, frame: &Frame, _room: &str, _position: Position) -> Result<(), Full> {
        self.try_send(frame)
    }

    /// Aborts the connection if its queue had no room for a frame.
    fn abort_if(&self, sent: Result<(), Full>) {
        if sent == Err(Full) {
            self.outbox().abort(CloseReason::TooSlow);
        }
    }

    /// Sends a frame. Aborts the connection of a member whose queue has no room for it.
    fn send(&self, frame: &Frame) {
        self.abort_if(self.try_send(frame));
    }
}

/// See the module.
pub(crate) struct Group<M> {
    members: RwLock<Members<M>>,
    /// Number of fan-outs in progress.
    walks: AtomicUsize,
}

struct Members<M> {
    /// Has holes only while a fan-out is in progress, because moving members could make it skip one or send twice.
    slots: Vec<Option<Arc<M>>>,
    /// The slots of the members, by their ids. The ids themselves are only in the members.
    indices: HashTable<u32>,
    hasher: RandomState,
}

/// A fan-out in progress. The end of the last one fills the holes.
struct Walk<'a, M: Member>(&'a Group<M>);

impl<M: Member> Group<M> {
    /// Adds a member; false if it is one already. It gets no frame of fan-outs in progress, unless it takes the place of
    /// another one with its id: that of a connection whose end the node has not noticed.
    pub(crate) fn join(&self, member: Arc<M>) -> bool {
        let mut members = self.members.write();
        if let Some(index) = members.find(member.id()) {
            let before = members.slots[index].replace(Arc::clone(&member));
            return before.is_none_or(|before| !Arc::ptr_eq(&before, &member));
        }
        members.slots.push(Some(member));
        let index = members.slots.len() - 1;
        members.list(index);
        true
    }

    /// Removes a member; false if it is none, even if another one has its id.
    pub(crate) fn leave(&self, member: &Arc<M>) -> bool {
        let mut members = self.members.write();
        let found = members.find(member.id()).and_then(|index| members.slots[index].as_ref());
        if !found.is_some_and(|found| Arc::ptr_eq(found, member)) {
            return false;
        }
        let Some(index) = members.unlist(member.id()) else { return false };
        if self.walks.load(Ordering::Acquire) > 0 {
            members.slots[index] = None;
        } else {
            members.fill(index);
        }
        true
    }

    /// The member with this id.
    pub(crate) fn get(&self, id: SocketId) -> Option<Arc<M>> {
        let members = self.members.read();
        members.find(id).and_then(|index| members.slots[index].clone())
    }

    /// Adds the members that `of` selects to `all`, a batch at a time.
    pub(crate) async fn collect(&self, all: &mut Vec<Arc<M>>, of: impl Fn(&M) -> bool) {
        let (walk, end) = self.begin_walk();
        for start in (0..end).step_by(BATCH) {
            if start > 0 {
                tokio::task::yield_now().await;
            }
            let members = self.members.read();
            let found = members.slots[start..end.min(start + BATCH)].iter().flatten();
            all.extend(found.filter(|member| of(member)).cloned());
        }
        drop(walk);
    }

    #[cfg(test)]
    fn contains(&self, id: SocketId) -> bool {
        self.members.read().find(id).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.members.read().indices.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members' ids, or `None` if there are more than `max`.
    pub(crate) fn ids(&self, max: usize) -> Option<Vec<SocketId>> {
        let members = self.members.read();
        let ids = members.slots.iter().flatten().map(|member| member.id());
        (members.indices.len() <= max).then(|| ids.collect())
    }

    /// Sends a frame to every member. Await each call before the next, to keep the order.
    pub(crate) async fn fan_out(&self, frame: &Frame) {
        self.fan_out_to(frame, |_| true).await;
    }

    /// Like [`Group::fan_out`], to the members that `to` selects.
    pub(crate) async fn fan_out_to(&self, frame: &Frame, to: impl Fn(&M) -> bool) {
        self.each(|member| to(member).then(|| member.try_send(frame))).await;
    }

    /// Like [`Group::fan_out`], an event with which the members have everything of the room up to this position.
    pub(crate) async fn fan_out_at(&self, frame: &Frame, room: &str, position: Position) {
        self.each(|member| Some(member.try_send_at(frame, room, position))).await;
    }

    /// Calls `send` with every member; it returns `None` for a member that it sends nothing to.
    async fn each(&self, send: impl Fn(&M) -> Option<Result<(), Full>>) {
        let (walk, end) = self.begin_walk();
        let mut slow = Vec::new();
        for start in (0..end).step_by(BATCH) {
            if start > 0 {
                tokio::task::yield_now().await;
            }
            let mut sent = 0;
            {
                let members = self.members.read();
                for member in members.slots[start..end.min(start + BATCH)].iter().flatten() {
                    match send(member) {
                        None => continue,
                        Some(Ok(())) => {}
                        Some(Err(Full)) => slow.push(Arc::clone(member)),
                    }
                    sent += 1;
                }
            }
            metrics::DELIVERIES.add(sent);
            // Outside of the lock: an aborted member leaves the group.
            for member in slow.drain(..) {
                member.outbox().abort(CloseReason::TooSlow);
            }
        }
        drop(walk);
    }

    /// Aborts the connections of all members.
    pub(crate) fn abort(&self, reason: CloseReason) {
        let members: Vec<_> = self.members.read().slots.iter().flatten().cloned().collect();
        for member in members {
            member.outbox().abort(reason);
        }
    }

    /// The walk, and the number of slots at its beginning, which does not shrink during it.
    fn begin_walk(&self) -> (Walk<'_, M>, usize) {
        let members = self.members.read();
        // Under the lock, so that no member moves after this.
        self.walks.fetch_add(1, Ordering::AcqRel);
        (Walk(self), members.slots.len())
    }
}

impl<M: Member> Members<M> {
    /// The slot of the member with this id.
    fn find(&self, id: SocketId) -> Option<usize> {
        let is_it = |index: &u32| is_id(&self.slots, *index, id);
        self.indices.find(self.hasher.hash_one(id), is_it).map(|index| *index as usize)
    }

    /// Makes the member in this slot known by its id.
    fn list(&mut self, index: usize) {
        let Self { slots, indices, hasher } = self;
        // A node has fewer sockets than that.
        let (Ok(listed), Some(Some(member))) = (u32::try_from(index), slots.get(index)) else { return };
        let hash = |index: &u32| hash(hasher, slots, *index);
        indices.insert_unique(hasher.hash_one(member.id()), listed, hash);
    }

    /// Makes the member with this id unknown, and returns its slot.
    fn unlist(&mut self, id: SocketId) -> Option<usize> {
        let Self { slots, indices, hasher } = self;
        let found = indices.find_entry(hasher.hash_one(id), |index| is_id(slots, *index, id)).ok()?;
        Some(found.remove().0 as usize)
    }

    /// Fills the hole at `index` with the last member.
    fn fill(&mut self, index: usize) {
        let last = self.slots.len() - 1;
        if index < last
            && let Some(moved) = &self.slots[last]
        {
            let id = moved.id();
            self.unlist(id);
            self.slots.swap_remove(index);
            self.list(index);
        } else {
            self.slots.swap_remove(index);
        }
        if self.slots.len() * 4 < self.slots.capacity() {
            self.slots.shrink_to(self.slots.len() * 2);
            let Self { slots, indices, hasher } = self;
            indices.shrink_to(slots.len() * 2, |index| hash(hasher, slots, *index));
        }
    }
}

fn is_id<M: Member>(slots: &[Option<Arc<M>>], index: u32, id: SocketId) -> bool {
    slots[index as usize].as_ref().is_some_and(|member| member.id() == id)
}

fn hash<M: Member>(hasher: &RandomState, slots: &[Option<Arc<M>>], index: u32) -> u64 {
    slots[index as usize].as_ref().map_or(0, |member| hasher.hash_one(member.id()))
}

impl<M: Member> Drop for Walk<'_, M> {
    fn drop(&mut self) {
        let has_holes = {
            let members = self.0.members.read();
            members.slots.len() > members.indices.len()
        };
        let mut members = if has_holes { Some(self.0.members.write()) } else { None };
        // Under the lock, if there are holes: a walk that begins now sees all members or waits.
        if self.0.walks.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(members) = &mut members
        {
            let mut index = 0;
            while index < members.slots.len() {
                match members.slots[index] {
                    Some(_) => index += 1,
                    None => members.fill(index),
                }
            }
        }
    }
}

impl<M> Default for Group<M> {
    fn default() -> Self {
        let members = Members { slots: Vec::new(), indices: HashTable::new(), hasher: RandomState::new() };
        Self { members: RwLock::new(members), walks: AtomicUsize::new(0) }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    use jackfield_engine::testing::TestOutbox;
    use proptest::prelude::*;

    use super::*;

    /// A member that only receives.
    pub(crate) struct TestMember {
        id: SocketId,
        outbox: Outbox,
        received: TestOutbox,
    }

    impl TestMember {
        pub(crate) fn new(number: usize) -> Arc<Self> {
            let received = TestOutbox::new();
            Arc::new(Self { id: id(number), outbox: Outbox::Test(received.clone()), received })
        }
    }

    impl Member for TestMember {
        fn id(&self) -> SocketId {
            self.id
        }

        fn outbox(&self) -> &Outbox {
            &self.outbox
        }
    }

    /// The id of the member with this number.
    pub(crate) fn id(number: usize) -> SocketId {
        let mut bytes = [0; 15];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        bytes.into()
    }

    fn frame(number: usize) -> Frame {
        Frame::event_json("/", "n", number)
    }

    fn poll(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// However members join and leave between the steps of a fan-out: a member from its beginning to its end gets
        /// the frame once, no member gets it twice, and no hole is left after it.
        #[test]
        fn a_member_that_stays_gets_every_frame_once(
            rounds in prop::collection::vec(prop::collection::vec((0_usize..3_000, any::<bool>()), 0..200), 1..8)
        ) {
            let group = Group::default();
            let all: Vec<_> = (0..3_000).map(TestMember::new).collect();
            for member in &all[..2_500] {
                group.join(Arc::clone(member));
            }
            for (number, changes) in rounds.into_iter().enumerate() {
                let before: Vec<bool> = all.iter().map(|member| group.contains(member.id)).collect();
                let mut left = vec![false; all.len()];
                let frame = frame(number);
                let mut changes = changes.into_iter();
                {
                    let mut walk = pin!(group.fan_out(&frame));
                    while !poll(walk.as_mut()) {
                        for (id, joins) in changes.by_ref().take(60) {
                            match joins {
                                true => drop(group.join(Arc::clone(&all[id]))),
                                false => left[id] |= group.leave(&all[id]),
                            }
                        }
                    }
                }
                for (id, member) in all.iter().enumerate() {
                    let count = member.received.take().len();
                    prop_assert!(count <= 1);
                    prop_assert!(count == 1 || !before[id] || left[id], "{id} missed the frame");
                }
                let members = group.members.read();
                prop_assert_eq!(members.slots.len(), members.indices.len());
            }
        }
    }

    #[tokio::test]
    async fn only_the_member_with_a_full_queue_is_disconnected() {
        let group = Group::default();
        let members = [1, 2, 3].map(TestMember::new);
        for member in &members {
            assert!(group.join(Arc::clone(member)));
        }
        assert!(!group.join(Arc::clone(&members[0])), "it is already a member");
        members[1].received.stall(1);
        for number in 0..3 {
            group.fan_out(&frame(number)).await;
        }
        assert_eq!(members[1].received.closed(), Some(CloseReason::TooSlow));
        assert_eq!(members.map(|member| member.received.take().len()), [3, 1, 3]);
    }

    #[tokio::test]
    async fn a_member_takes_the_place_of_another_one_with_its_id() {
        let group = Group::default();
        let (before, after) = (TestMember::new(1), TestMember::new(1));
        assert!(group.join(Arc::clone(&before)) && group.join(Arc::clone(&after)));
        assert!(!group.leave(&before), "its late end does no harm");
        group.fan_out(&frame(1)).await;
        assert_eq!([before.received.take().len(), after.received.take().len(), group.len()], [0, 1, 1]);
        assert!(group.leave(&after) && group.is_empty());
    }

    #[tokio::test]
    async fn a_group_that_shrank_frees_its_slots() {
        let group = Group::default();
        let members: Vec<_> = (0..10_000).map(TestMember::new).collect();
        for member in &members {
            group.join(Arc::clone(member));
        }
        for member in &members[5..] {
            group.leave(member);
        }
        let members = group.members.read();
        assert_eq!(members.slots.len(), 5);
        assert!(members.slots.capacity() < 50);
    }
}
