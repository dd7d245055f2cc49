//! [`crate::bus`] over Redis pub/sub.
//!
//! One task keeps a separate connection for subscriptions, on which Redis pushes messages (RESP3). After a loss it
//! resubscribes to all channels, in batches, and only then sends [`BusEvent::Gap`]. The task publishes probes to
//! itself, and drops a connection that delivers neither probes nor messages, even if TCP considers it healthy. The
//! queues are bounded: a node that cannot keep up with its channels loses messages and receives [`BusEvent::Gap`].

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use redis::{FromRedisValue as _, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

use crate::metrics;
use crate::{
    TIMEOUT, Unavailable,
    bus::{
        BusEvent, Channel, EmitterMessages,
        emitters::{self, EmitterQueue},
        push_queue::{PushQueue, Pushed, push_queue},
    },
    ids::NodeId,
    once::REMEMBERED,
    partition::{Partition, PartitionSet},
    redis::{
        link::RedisLink,
        script::{Source, script},
        streams::millis,
    },
    wire::envelope,
};

static ROOMS: LazyLock<Source> = LazyLock::new(|| Source::new("return #redis.call('PUBSUB', 'CHANNELS', ARGV[1])"));
static PUBLISH_ONCE: LazyLock<Source> = script!("publish_once.lua");

/// Capacity of a connection's queue of messages, and of a node's event queue.
const BACKLOG: usize = 16_384;
const REQUESTS: usize = 1_024;
/// Channels in one SUBSCRIBE.
const BATCH: usize = 512;
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// A node that received no probe for this long is not ready. If that is so at two ticks in a row, without any message
/// in between, the connection is dropped.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
const RECONNECT_AFTER: Duration = Duration::from_millis(200);

/// A node's endpoint of the bus.
#[derive(Clone)]
pub struct RedisBus {
    link: Arc<RedisLink>,
    requests: mpsc::Sender<Request>,
    last_probe: Arc<Mutex<Option<Instant>>>,
}

enum Request {
    Subscribe { channels: Vec<Channel>, done: oneshot::Sender<()> },
    Unsubscribe { channels: Vec<Channel> },
    Emitters(EmitterQueue),
}

struct Listener {
    link: Arc<RedisLink>,
    probe: String,
    /// By channel name in Redis.
    subscribed: HashMap<String, Channel>,
    /// The queue for messages of emitters, if the node listens to them.
    emitters: Option<EmitterQueue>,
    requests: mpsc::Receiver<Request>,
    queue: mpsc::Sender<BusEvent>,
    last_probe: Arc<Mutex<Option<Instant>>>,
    /// Probes carry the time since this instant.
    began: Instant,
}

/// Why the listener stopped using a connection.
enum Ended {
    Lost,
    Stopping,
}

impl RedisBus {
    pub(crate) fn start(
        link: Arc<RedisLink>,
        node: &NodeId,
        lifecycle: &Lifecycle,
    ) -> (Self, mpsc::Receiver<BusEvent>) {
        let (queue, events) = mpsc::channel(BACKLOG);
        let (requests, incoming) = mpsc::channel(REQUESTS);
        let last_probe = Arc::new(Mutex::new(None));
        let listener = Listener {
            probe: link.keys.probe(Partition::FIRST, node.as_str()),
            link: Arc::clone(&link),
            subscribed: HashMap::new(),
            emitters: None,
            requests: incoming,
            queue,
            last_probe: Arc::clone(&last_probe),
            began: Instant::now(),
        };
        lifecycle.spawn(listener.run(lifecycle.stopping()));
        (Self { link, requests, last_probe }, events)
    }

    pub(crate) async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), Unavailable> {
        let mut command = redis::cmd("PUBLISH");
        command.arg(self.link.keys.channel(channel)).arg(envelope::enclose(payload).as_ref());
        self.link.command(channel.partition(), &command).await
    }

    pub(crate) async fn publish_once(&self, channel: &Channel, payload: Bytes, key: &str) -> Result<bool, Unavailable> {
        let payload = envelope::enclose(payload);
        let mut call = self.link.call(&PUBLISH_ONCE, &[self.link.keys.published(channel, key)], 3, payload.len() + 256);
        call.arg(millis(REMEMBERED));
        call.arg(self.link.keys.channel(channel)).arg(payload.as_ref());
        self.link.run(channel.partition(), &call).await
    }

    pub(crate) async fn subscribe(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        let (done, answer) = oneshot::channel();
        let request = Request::Subscribe { channels: channels.to_vec(), done };
        let asked = async {
            self.requests.send(request).await.map_err(|_| Unavailable)?;
            answer.await.map_err(|_| Unavailable)
        };
        tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| Unavailable)?
    }

    pub(crate) async fn rooms(&self, namespaces: &[&str]) -> Result<usize, Unavailable> {
        let mut count = 0;
        for namespace in namespaces {
            // Redis counts, so that the names are not sent.
            let pattern = self.link.keys.rooms_of(namespace);
            let mut call = self.link.call(&ROOMS, &[] as &[&str], 1, 128);
            count += self.link.run::<usize>(Partition::FIRST, call.arg(pattern)).await?;
        }
        Ok(count)
    }

    pub(crate) fn unsubscribe(&self, channels: &[Channel]) {
        // If the queue is full, the node stays subscribed; the next message for a room without members here retries.
        let _ = self.requests.try_send(Request::Unsubscribe { channels: channels.to_vec() });
    }

    pub(crate) fn emitters(&self, prefix: &str) -> Option<EmitterMessages> {
        let (queue, messages) = emitters::queue(prefix);
        self.requests.try_send(Request::Emitters(queue)).ok().map(|()| messages)
    }

    pub(crate) fn healthy(&self) -> bool {
        self.last_probe.lock().is_some_and(|at| at.elapsed() < PROBE_TIMEOUT)
    }
}

impl Listener {
    async fn run(mut self, stop: CancellationToken) {
        let mut first = true;
        loop {
            if let Ok((connection, messages)) = self.connect().await
                && let Ended::Stopping = self.listen(connection, messages, first, &stop).await
            {
                return;
            }
            first = false;
            // Requests without a connection take effect with the next connection; their callers get `Unavailable` now.
            while let Ok(request) = self.requests.try_recv() {
                match request {
                    Request::Subscribe { channels, .. } => drop(self.remember(&channels)),
                    Request::Unsubscribe { channels } => drop(self.forget(&channels)),
                    Request::Emitters(queue) => self.emitters = Some(queue),
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await.is_none() {
                return;
            }
        }
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, PushQueue<PushInfo>), Unavailable> {
        let (push, messages) = push_queue(BACKLOG);
        let push_message = move |pushed: PushInfo| {
            if matches!(pushed.kind, PushKind::Message | PushKind::PMessage) {
                push(pushed);
            }
        };
        Ok((self.link.pubsub(push_message).await?, messages))
    }

    async fn listen(
        &mut self,
        mut connection: MultiplexedConnection,
        mut messages: PushQueue<PushInfo>,
        first: bool,
        stop: &CancellationToken,
    ) -> Ended {
        let names: Vec<String> = self.subscribed.keys().cloned().chain([self.probe.clone()]).collect();
        let subscribed = self.subscribe(&mut connection, &names).await;
        if subscribed.is_err() || self.subscribe_emitters(&mut connection).await.is_err() {
            return Ended::Lost;
        }
        let mut missed = !first;
        let mut alive_at = Instant::now();
        let mut tick = tokio::time::interval(PROBE_EVERY);
        // After a stall of the whole process, one tick fires instead of all that were missed.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silent = false;
        loop {
            if missed && self.queue.try_send(BusEvent::Gap(PartitionSet::ALL)).is_ok() {
                missed = false;
            }
            tokio::select! {
                () = stop.cancelled() => return Ended::Stopping,
                pushed = messages.recv() => {
                    silent = false;
                    let message = match pushed {
                        Some(Pushed::Message(message)) => message,
                        Some(Pushed::Lost) => {
                            missed = true;
                            continue;
                        }
                        None => return Ended::Lost,
                    };
                    if message.kind == PushKind::PMessage {
                        self.push_emitted(message.data);
                        continue;
                    }
                    let Ok([Value::BulkString(channel), payload]) = <[Value; 2]>::try_from(message.data) else {
                        continue;
                    };
                    if channel == self.probe.as_bytes() {
                        alive_at = Instant::now();
                        *self.last_probe.lock() = Some(alive_at);
                        self.measure(payload);
                    } else {
                        missed |= !self.enqueue(&channel, payload);
                    }
                }
                Some(request) = self.requests.recv() => {
                    if self.serve(request, &mut connection).await.is_err() {
                        return Ended::Lost;
                    }
                }
                _ = tick.tick() => {
                    // Two ticks in a row, so that waiting messages are read in between.
                    let was_silent = std::mem::replace(&mut silent, alive_at.elapsed() > PROBE_TIMEOUT);
                    if silent && was_silent {
                        tracing::warn!("Redis pub/sub delivers neither probes nor messages: reconnecting");
                        return Ended::Lost;
                    }
                    self.send_probe();
                }
            }
        }
    }

    /// Serves a request together with the requests queued behind it, so that opening a thousand rooms does not take a
    /// thousand round trips.
    async fn serve(&mut self, first: Request, connection: &mut MultiplexedConnection) -> Result<(), Unavailable> {
        let (mut wanted, mut unwanted, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Subscribe { channels, done } => {
                    wanted.extend(self.remember(&channels));
                    waiting.push(done);
                }
                Request::Unsubscribe { channels } => unwanted.extend(self.forget(&channels)),
                Request::Emitters(queue) => {
                    self.emitters = Some(queue);
                    self.subscribe_emitters(connection).await?;
                }
            }
            next = if wanted.len() < BATCH { self.requests.try_recv().ok() } else { None };
        }
        // A batch may contain both requests for the same channel: the last one counts.
        unwanted.retain(|name| !self.subscribed.contains_key(name));
        for batch in unwanted.chunks(BATCH) {
            let asked = tokio::time::timeout(TIMEOUT, connection.unsubscribe(batch)).await;
            asked.map_err(|_| Unavailable)?.map_err(|_| Unavailable)?;
        }
        wanted.retain(|name| self.subscribed.contains_key(name));
        self.subscribe(connection, &wanted).await?;
        for done in waiting {
            // The caller may have timed out; the subscription stays.
            let _ = done.send(());
        }
        Ok(())
    }

    fn forget(&mut self, channels: &[Channel]) -> Vec<String> {
        let names = channels.iter().flat_map(|channel| self.link.keys.channels(channel)).map(|(_, name)| name);
        names.filter(|name| self.subscribed.remove(name).is_some()).collect()
    }

    /// Publishes the probe without waiting for the answer: a slow Redis must not delay the messages.
    fn send_probe(&self) {
        let (link, probe) = (Arc::clone(&self.link), self.probe.clone());
        let sent = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        // The task ends by itself within the link's deadline, so it need not be tracked.
        #[expect(clippy::disallowed_methods, reason = "bounded by the link's deadline")]
        drop(tokio::spawn(async move {
            let mut command = redis::cmd("PUBLISH");
            let _: Result<i64, Unavailable> = link.command(Partition::FIRST, command.arg(probe).arg(sent)).await;
        }));
    }

    /// Records the lag and the backlog when a probe comes back.
    fn measure(&self, probe: Value) {
        if let Ok(sent) = u64::from_redis_value(probe).map(Duration::from_micros) {
            metrics::BUS_LAG.record(self.began.elapsed().saturating_sub(sent));
        }
        metrics::BUS_BACKLOG.set(self.queue.max_capacity() - self.queue.capacity());
    }

    fn remember(&mut self, channels: &[Channel]) -> Vec<String> {
        let named = channels.iter().flat_map(|channel| {
            self.link.keys.channels(channel).into_iter().map(move |(_, name)| (name, channel.clone()))
        });
        let new: Vec<_> = named.filter(|(name, _)| !self.subscribed.contains_key(name)).collect();
        let names = new.iter().map(|(name, _)| name.clone()).collect();
        self.subscribed.extend(new);
        names
    }

    /// Queues a message for the node; false if the queue was full.
    fn enqueue(&self, channel: &[u8], payload: Value) -> bool {
        let channel = std::str::from_utf8(channel).ok().and_then(|name| self.subscribed.get(name));
        let (Some(channel), Value::BulkString(payload)) = (channel, payload) else { return true };
        self.queue.try_send(BusEvent::Message(channel.clone(), payload.into())).is_ok()
    }

    /// Queues an emitter's message: the pattern, the channel and the payload.
    fn push_emitted(&mut self, data: Vec<Value>) {
        if let (Some(emitters), Ok([_, Value::BulkString(channel), Value::BulkString(payload)])) =
            (&mut self.emitters, <[Value; 3]>::try_from(data))
        {
            emitters.push(&channel, payload);
        }
    }

    async fn subscribe_emitters(&self, connection: &mut MultiplexedConnection) -> Result<(), Unavailable> {
        let Some(emitters) = &self.emitters else { return Ok(()) };
        for pattern in emitters.patterns() {
            let subscribed =
                tokio::time::timeout(TIMEOUT, connection.psubscribe(pattern)).await.map_err(|_| Unavailable)?;
            if let Err(error) = subscribed {
                self.link.server(Partition::FIRST).refused(&error);
                return Err(Unavailable);
            }
        }
        Ok(())
    }

    async fn subscribe(&self, connection: &mut MultiplexedConnection, names: &[String]) -> Result<(), Unavailable> {
        for batch in names.chunks(BATCH) {
            let subscribed =
                tokio::time::timeout(TIMEOUT, connection.subscribe(batch)).await.map_err(|_| Unavailable)?;
            if let Err(error) = subscribed {
                self.link.server(Partition::FIRST).refused(&error);
                return Err(Unavailable);
            }
        }
        Ok(())
    }
}
