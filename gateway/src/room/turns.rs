//! Lets rooms' workers work, without a task for each room: a worker handles an input in the turn of the caller that put
//! it in. If it has to wait, for the log or because the room is large, a task continues until the worker rests again.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use jackfield_cluster::{bus::Channel, partition::PartitionSet};
use jackfield_shared::time::now;

use super::{
    handle::Room,
    join::Occupant,
    mailbox::Put,
    registry::Rooms,
    worker::{Input, Worker},
};

/// Time between two looks at the messages that rooms keep for joins.
const FORGET_EVERY: Duration = Duration::from_secs(1);
/// Rooms that are gone through before the task yields.
const BATCH: usize = 256;

impl<M: Occupant> Rooms<M> {
    /// Puts an input into a room, and lets its worker work if it rests. False if the room has closed. A message for
    /// which the mailbox has no room is dropped, and the worker reads the log.
    pub(super) fn put(&self, room: &Room<M>, input: Input<M>) -> bool {
        let is_message = matches!(input, Input::Message(..));
        match room.mailbox().put(input, is_message) {
            Put::Start(worker, input) => self.begin(room, worker, Some(input)),
            Put::Queued => {}
            Put::Full => {
                room.signals().log.missed();
                // The worker may have come to rest since the mailbox was full.
                self.wake(room);
            }
            Put::Closed => return false,
        }
        true
    }

    /// The bus may have lost messages of rooms in these partitions: makes them read their logs.
    pub(crate) fn missed(&self, partitions: PartitionSet) {
        let mut rooms = self.all();
        rooms.retain(|room| partitions.concerns_room(room.name()));
        for room in &rooms {
            room.signals().log.missed();
        }
        let (this, stopping) = (self.clone(), self.lifecycle().stopping());
        let waking = async move {
            for batch in rooms.chunks(BATCH) {
                batch.iter().for_each(|room| this.wake(room));
                tokio::task::yield_now().await;
            }
        };
        self.lifecycle().spawn(async move { stopping.run_until_cancelled(waking).await });
    }

    /// Drops the messages that rooms keep for joins, once no socket has joined for a while. Runs until the end.
    pub(crate) async fn forget(self) {
        let stopping = self.lifecycle().stopping();
        while stopping.run_until_cancelled(tokio::time::sleep(FORGET_EVERY)).await.is_some() {
            let now = now();
            for batch in self.take_keeping().chunks(BATCH) {
                let keeps = |room: &&Room<M>| room.mailbox().look(|worker| worker.forget(now)).unwrap_or(true);
                batch.iter().filter(keeps).for_each(|room| self.keeps(room));
                tokio::task::yield_now().await;
            }
        }
    }

    /// Lets a room's worker see a signal, if it rests. A worker that works sees it before it rests.
    fn wake(&self, room: &Room<M>) {
        if let Some(worker) = room.mailbox().take() {
            self.begin(room, worker, None);
        }
    }

    /// Lets a room's worker work, at once as far as it need not wait. A join does not begin at once: the joins of a crowd
    /// share their reads of the log, so it begins after the others of this turn have been put in.
    fn begin(&self, room: &Room<M>, worker: Box<Worker<M>>, first: Option<Input<M>>) {
        let is_join = matches!(first, Some(Input::Join(..)));
        let mut work = Box::pin(work(self.clone(), room.clone(), worker, first));
        if is_join || work.as_mut().now_or_never().is_none() {
            let stopping = self.lifecycle().stopping();
            self.lifecycle().spawn(async move { stopping.run_until_cancelled(work).await });
        }
    }
}

/// Handles `first`, and all inputs that arrive meanwhile. Then the worker rests in the room, or the room is unused and
/// closed.
async fn work<M: Occupant>(rooms: Rooms<M>, room: Room<M>, mut worker: Box<Worker<M>>, mut first: Option<Input<M>>) {
    let mut arrived = Vec::new();
    if matches!(first, Some(Input::Join(..))) {
        arrived.extend(first.take());
        room.mailbox().gather(&mut arrived);
    }
    loop {
        let inputs = first.take().into_iter().chain(arrived.drain(..));
        let turn = worker.turn(rooms.back_end(), room.mailbox(), inputs);
        if AssertUnwindSafe(turn).catch_unwind().await.is_err() {
            tracing::error!(
                room = %room.name(),
                "the handling of a room panicked, and its members' connections are closed; the panic message is on \
                 standard error"
            );
            rooms.fail(&room);
            worker.abort();
            return;
        }
        if worker.is_unused() && rooms.close(&room) {
            return;
        }
        if worker.begins_to_keep() {
            rooms.keeps(&room);
        }
        worker = match room.mailbox().rest(worker, &mut arrived, || room.signals().log.is_behind()) {
            None => return,
            Some(worker) => worker,
        };
        // The room is busy: let the others work, too.
        tokio::task::yield_now().await;
    }
}

impl<M: Occupant> Rooms<M> {
    /// Removes an unused room, unless inputs wait. The caller has its worker.
    fn close(&self, room: &Room<M>) -> bool {
        self.remove_if(room, |room| room.mailbox().close())
    }

    /// Removes a room whose worker failed.
    fn fail(&self, room: &Room<M>) {
        self.remove_if(room, |room| {
            room.mailbox().fail();
            true
        });
    }

    /// Removes a room if `closes` closes it. Unsubscribes first, so that a subscribe of the next room with this name
    /// comes after it.
    fn remove_if(&self, room: &Room<M>, closes: impl FnOnce(&Room<M>) -> bool) -> bool {
        let mut by_name = self.by_name();
        let removed = closes(room);
        if removed {
            self.back_end().bus.unsubscribe(&[Channel::Room(room.name().clone())]);
            by_name.remove(room.name());
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use jackfield_cluster::{
        MemoryCluster,
        ids::{SessionKey, SocketId},
        log::Durability,
        partition::Partition,
        room_name::RoomName,
    };
    use jackfield_engine::{CloseReason, Outbox, testing::TestOutbox};
    use jackfield_shared::lifecycle::Lifecycle;

    use super::*;
    use crate::{
        hub::Member,
        room::{JoinError, Joined, Joining},
        settings::GatewaySettings,
    };

    struct TestOccupant {
        id: SocketId,
        outbox: Outbox,
        sent: TestOutbox,
        panics: AtomicBool,
    }

    impl Member for TestOccupant {
        fn id(&self) -> SocketId {
            self.id
        }

        fn outbox(&self) -> &Outbox {
            &self.outbox
        }
    }

    impl Occupant for TestOccupant {
        fn session(&self) -> SessionKey {
            [0; 15].into()
        }

        fn is_gone(&self) -> bool {
            assert!(!self.panics.load(Ordering::Relaxed), "as the test wants it");
            false
        }
    }

    fn occupant(panics: bool) -> Arc<TestOccupant> {
        let sent = TestOutbox::new();
        let outbox = Outbox::Test(sent.clone());
        Arc::new(TestOccupant { id: SocketId::random(), outbox, sent, panics: panics.into() })
    }

    async fn join(rooms: &Rooms<TestOccupant>, name: &RoomName, member: &Arc<TestOccupant>) -> Result<(), JoinError> {
        let joined = rooms.join(name, Joining::new(Arc::clone(member), None, None, 1)).await;
        joined.map(|(_, joined)| assert!(matches!(joined, Joined::In { .. })))
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_closes_the_rooms_connections_and_the_room_opens_again() {
        let lifecycle = Lifecycle::new();
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let rooms = Rooms::new(cluster.bus, cluster.log, lifecycle.clone());
        let [name, other] = ["r", "other"].map(|name| RoomName::parse(&"/".into(), name).unwrap());
        let [first, neighbour, second] = [(); 3].map(|()| occupant(false));
        join(&rooms, &name, &first).await.unwrap();
        join(&rooms, &other, &neighbour).await.unwrap();
        assert_eq!(join(&rooms, &name, &occupant(true)).await, Err(JoinError::Unavailable));
        assert_eq!(first.sent.closed(), Some(CloseReason::Unavailable));
        assert_eq!(neighbour.sent.closed(), None);
        join(&rooms, &name, &second).await.unwrap();
        assert_eq!(rooms.len(), 2);
        lifecycle.stop();
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_of_some_partitions_makes_their_rooms_read_and_no_others() {
        let lifecycle = Lifecycle::new();
        let (cluster, _events) = MemoryCluster::new(GatewaySettings::default().terms()).join();
        let rooms = Rooms::new(cluster.bus, cluster.log.clone(), lifecycle.clone());
        let mut all = Vec::new();
        for number in 0..200 {
            let (name, member) = (RoomName::parse(&"/".into(), &format!("r{number}")).unwrap(), occupant(false));
            join(&rooms, &name, &member).await.unwrap();
            // Nobody passes on what arrives from the bus: the rooms find out only by reading.
            cluster.log.append(&name, "{\"content\":\"missed\"}", None, None, Durability::Memory).await.unwrap();
            let _ = member.sent.take();
            all.push((name, member));
        }
        let some: PartitionSet = Partition::all().filter(|partition| partition.number() % 3 == 0).collect();
        rooms.missed(some);
        // With paused time, this ends once nothing else is to be done.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (concerned, others): (Vec<_>, Vec<_>) = all.iter().partition(|(name, _)| some.concerns_room(name));
        assert!(concerned.len() > 50 && others.len() > 100);
        let got = |(_, member): &(RoomName, Arc<TestOccupant>)| member.sent.take().len();
        assert!(concerned.iter().all(|one| got(one) == 1), "each of these rooms delivers its message");
        assert!(others.iter().all(|one| got(one) == 0), "nobody reads the others' logs");
        rooms.missed(PartitionSet::ALL);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(concerned.iter().all(|one| got(one) == 0) && others.iter().all(|one| got(one) == 1));
        lifecycle.stop();
    }
}
