//! One server's listener: keeps a connection, subscribed to the node's channels there, and passes on what it receives.
//!
//! It publishes probes to itself, and drops a connection that delivers neither probes nor messages, even if TCP
//! considers it healthy.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{ErrorKind, PushKind, RedisError, RedisResult, ServerError, ServerErrorKind, Value};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    book::Place,
    commands::BATCH,
    hub::{Hub, PROBE_TIMEOUT},
    ledger::{Ledger, Step, Subject, Unsubscribed},
};
use crate::{
    TIMEOUT,
    bus::BusEvent,
    metrics,
    partition::{Partition, PartitionSet},
    redis::{frames::Frame, server::Server, wire::Wire},
};

const PROBE_EVERY: Duration = Duration::from_millis(500);
const RECONNECT_AFTER: Duration = Duration::from_millis(200);

/// See the module.
pub(super) struct Listener {
    pub(super) place: Place,
    pub(super) server: Arc<Server>,
    pub(super) hub: Arc<Hub>,
    /// Told that the book has something for this listener.
    pub(super) wake: Arc<Notify>,
    pub(super) last_probe: Arc<Mutex<Option<Instant>>>,
}

/// A connection and what is known of it.
struct Connection {
    wire: Wire,
    ledger: Ledger,
    /// Channels to look at.
    work: Vec<Arc<str>>,
    /// The book has more channels to look at.
    is_woken: bool,
    /// Channels that the server refused, or unsubscribed by itself: to be looked at again with the next tick.
    again: Vec<Arc<str>>,
    /// The channel of the probes.
    probe: Option<(Partition, Arc<str>)>,
    /// Number of channels for probes so far.
    probes: usize,
    /// The patterns of emitters are subscribed to.
    has_emitters: bool,
    /// The book may have a gap for this place.
    may_owe: bool,
    /// The book had one at the last tick.
    is_overdue: bool,
    /// When the last probe arrived.
    alive_at: Instant,
    /// The last probe was too long ago at the last tick, and nothing has arrived since.
    is_silent: bool,
}

impl Listener {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.connect_and_listen()).await.is_some() {
            self.lost();
            if stop.run_until_cancelled(tokio::time::sleep(RECONNECT_AFTER)).await.is_none() {
                break;
            }
        }
        self.lost();
    }

    fn lost(&self) {
        self.hub.book.lock().lost(self.place);
        self.hub.emitters.lock().lost(self.place);
    }

    async fn connect_and_listen(&self) {
        let mut generation = self.server.generation();
        let Ok((stream, connected)) = self.server.subscriptions().await else { return };
        let listening = self.listen(Wire::new(stream));
        tokio::select! {
            ended = listening => if let Err(error) = ended {
                tracing::debug!(redis = self.server.name, %error, "lost a connection for subscriptions");
                self.server.refused(&error);
            },
            // The server may be another one.
            _ = generation.wait_for(|current| *current != connected) => {}
        }
    }

    /// Runs until the connection is lost.
    async fn listen(&self, wire: Wire) -> RedisResult<()> {
        let mut connection = Connection {
            wire,
            ledger: Ledger::default(),
            work: Vec::new(),
            is_woken: true,
            again: Vec::new(),
            probe: None,
            probes: 0,
            has_emitters: false,
            may_owe: true,
            is_overdue: false,
            alive_at: Instant::now(),
            is_silent: false,
        };
        self.hub.book.lock().connected(self.place);
        let mut tick = tokio::time::interval(PROBE_EVERY);
        // After a stall of the whole process, one tick fires instead of all that were missed.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.handle_frames(&mut connection)?;
            while connection.wire.is_sent() && self.request(&mut connection) {}
            if connection.may_owe {
                connection.may_owe = !self.send_gap(false);
            }
            tokio::select! {
                moved = connection.wire.transfer() => moved?,
                () = self.wake.notified() => connection.is_woken = true,
                _ = tick.tick() => self.tick(&mut connection)?,
            }
        }
    }

    fn tick(&self, connection: &mut Connection) -> RedisResult<()> {
        // Two ticks in a row, so that waiting messages are read in between.
        let is_late = connection.alive_at.elapsed() > PROBE_TIMEOUT;
        if std::mem::replace(&mut connection.is_silent, is_late) && is_late {
            tracing::warn!(
                redis = self.server.name,
                "Redis pub/sub delivers neither probes nor messages: reconnecting"
            );
            return Err((ErrorKind::Io, "silent").into());
        }
        {
            let mut book = self.hub.book.lock();
            connection.again.drain(..).for_each(|name| book.look_at(self.place, &name));
        }
        self.subscribe_emitters(connection);
        self.choose_probe(connection);
        if let Some((_, name)) = &connection.probe
            && connection.ledger.subject(name.as_bytes()).is_some()
        {
            self.send_probe(name);
        }
        // Some channels cannot be subscribed again: the others do not wait for them.
        connection.may_owe |= !self.send_gap(connection.is_overdue);
        connection.is_overdue = !self.hub.book.lock().owed(self.place).is_empty();
        Ok(())
    }

    /// Looks at the next channels, and sends requests for them. False if there are none.
    fn request(&self, connection: &mut Connection) -> bool {
        let Connection { wire, ledger, work, is_woken, probe, may_owe, .. } = connection;
        let mut book = self.hub.book.lock();
        if work.is_empty() && std::mem::take(is_woken) {
            work.extend(book.take_changed(self.place));
            *may_owe = true;
        }
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        let any = !work.is_empty();
        for name in work.drain(work.len().saturating_sub(BATCH)..) {
            if probe.as_ref().is_some_and(|(_, probe)| *probe == name) {
                continue;
            }
            let here = book.wanted_at(self.place, &name);
            let here = here.map(|(partition, channel)| (partition, Subject::Channel(channel.clone())));
            match ledger.step(&name, here) {
                Step::Nothing => {}
                Step::Confirm => book.confirmed(self.place, &name),
                Step::Subscribe(partition) => wanted.push((partition, name)),
                Step::Unsubscribe(partition) => unwanted.push((partition, name)),
            }
        }
        drop(book);
        let kind = self.hub.kind;
        for command in kind.unsubscribe(unwanted).iter().chain(&kind.subscribe(wanted)) {
            wire.push(command);
        }
        any
    }

    fn handle_frames(&self, connection: &mut Connection) -> RedisResult<()> {
        let mut lost = PartitionSet::default();
        loop {
            let Connection { wire, ledger, alive_at, is_silent, .. } = &mut *connection;
            let Some(frame) = wire.next()? else { break };
            *is_silent = false;
            match frame {
                Frame::Message { channel, payload } => match ledger.subject(channel) {
                    Some((partition, Subject::Channel(channel))) => {
                        let message = BusEvent::Message(channel.clone(), Bytes::copy_from_slice(payload));
                        if !self.hub.queue.push(message) {
                            lost.insert(partition);
                        }
                    }
                    Some((_, Subject::Probe)) => {
                        *alive_at = Instant::now();
                        *self.last_probe.lock() = Some(*alive_at);
                        self.measure(payload);
                    }
                    None => {}
                },
                Frame::Matched { channel, payload } => {
                    if let Some(emitters) = &mut self.hub.emitters.lock().queue {
                        emitters.push(channel, payload);
                    }
                }
                Frame::TooLong => {
                    tracing::warn!(redis = self.server.name, "Redis published a message that is too long: dropped it");
                    lost = self.hub.book.lock().partitions(self.place);
                }
                Frame::Other(value) => self.handle(value, connection)?,
            }
        }
        if !lost.is_empty() {
            self.hub.book.lock().owe(lost);
            connection.may_owe = true;
        }
        Ok(())
    }

    /// Handles an answer, or what the server says unasked.
    fn handle(&self, value: Value, connection: &mut Connection) -> RedisResult<()> {
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

    /// Subscribes to the patterns of emitters, if they are this listener's.
    fn subscribe_emitters(&self, connection: &mut Connection) {
        if !connection.has_emitters
            && let Some(patterns) = self.hub.emitters.lock().patterns(self.place, self.hub.kind)
        {
            connection.wire.push(redis::cmd("PSUBSCRIBE").arg(&patterns));
            connection.has_emitters = true;
        }
    }

    /// Subscribes to a channel for probes in a partition that this server has, if there is none.
    fn choose_probe(&self, connection: &mut Connection) {
        let here = self.hub.book.lock().partitions(self.place);
        let (kind, Connection { wire, ledger, probe, probes, .. }) = (self.hub.kind, connection);
        if let Some((partition, name)) = probe {
            if here.contains(*partition) && ledger.is_coming(name) {
                return;
            }
            if let Step::Unsubscribe(partition) = ledger.step(name, None) {
                kind.unsubscribe(vec![(partition, Arc::clone(name))]).iter().for_each(|command| wire.push(command));
            }
        }
        *probe = here.iter().nth(*probes % here.len().max(1)).map(|partition| {
            let name: Arc<str> = self.hub.keys.probe(partition, &self.hub.node).into();
            if let Step::Subscribe(partition) = ledger.step(&name, Some((partition, Subject::Probe))) {
                kind.subscribe(vec![(partition, Arc::clone(&name))]).iter().for_each(|command| wire.push(command));
            }
            (partition, name)
        });
        *probes += 1;
    }

    /// Publishes the probe without waiting for the answer: a slow Redis must not delay the messages.
    fn send_probe(&self, name: &str) {
        let sent = u64::try_from(self.hub.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut command = self.hub.kind.publish();
        command.arg(name).arg(sent);
        let server = Arc::clone(&self.server);
        // The task ends by itself within the timeout, so it need not be tracked.
        #[expect(clippy::disallowed_methods, reason = "bounded by the timeout")]
        drop(tokio::spawn(async move { timeout(TIMEOUT, server.send(&command)).await.map(drop) }));
    }

    /// Records the lag and the backlog when a probe comes back.
    fn measure(&self, probe: &[u8]) {
        if let Some(sent) = std::str::from_utf8(probe).ok().and_then(|sent| sent.parse().ok()) {
            metrics::BUS_LAG.record(self.hub.began.elapsed().saturating_sub(Duration::from_micros(sent)));
        }
        metrics::BUS_BACKLOG.set(self.hub.queue.len());
    }

    /// Queues the gap that is due, if any. False if the queue is full.
    fn send_gap(&self, is_late: bool) -> bool {
        let mut book = self.hub.book.lock();
        let gap = book.take_gap(self.place, is_late);
        if gap.is_empty() || self.hub.queue.push(BusEvent::Gap(gap)) {
            return true;
        }
        book.owe(gap);
        false
    }
}
