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
use redis::{ErrorKind, RedisResult};
use tokio::{sync::Notify, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    book::Place,
    commands::BATCH,
    connection::Connection,
    hub::{Hub, PROBE_TIMEOUT},
    ledger::{Step, Subject},
};
use crate::{
    bus::{BusEvent, Channel},
    partition::PartitionSet,
    redis::{frames::Frame, server::Server, wire::Wire},
};

const PROBE_EVERY: Duration = Duration::from_millis(500);
const RECONNECT_AFTER: Duration = Duration::from_millis(200);
/// After so many ticks a gap does not wait for channels that are not subscribed yet.
const LATE: u8 = 3;

/// See the module.
pub(super) struct Listener {
    pub(super) place: Place,
    pub(super) server: Arc<Server>,
    pub(super) hub: Arc<Hub>,
    /// Told that the book has something for this listener.
    pub(super) wake: Arc<Notify>,
    pub(super) last_probe: Arc<Mutex<Option<Instant>>>,
}

impl Listener {
    /// Runs until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.connect_and_listen()).await.is_some() {
            self.lost();
            self.server.may_have_moved();
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
        let mut connection = Connection::new(wire);
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
        connection.may_owe |= !self.send_gap(connection.owed_for >= LATE);
        let is_owed = !self.hub.book.lock().owed(self.place).is_empty();
        connection.owed_for = if is_owed { connection.owed_for.saturating_add(1) } else { 0 };
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
        let owed = self.hub.book.lock().owed(self.place);
        loop {
            let Connection { wire, ledger, alive_at, is_silent, .. } = &mut *connection;
            let Some(frame) = wire.next()? else { break };
            *is_silent = false;
            match frame {
                Frame::Message { channel, payload } => match ledger.subject(channel) {
                    // Of a log that is about to be read: its server may have another history than the one before it.
                    Some((partition, Subject::Channel(Channel::Room(_)))) if owed.contains(partition) => {}
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

    /// Subscribes to the patterns of emitters, if they are this listener's.
    fn subscribe_emitters(&self, connection: &mut Connection) {
        if !connection.has_emitters
            && let Some(patterns) = self.hub.emitters.lock().patterns(self.place, self.hub.kind)
        {
            connection.wire.push(redis::cmd("PSUBSCRIBE").arg(&patterns));
            connection.has_emitters = true;
        }
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
