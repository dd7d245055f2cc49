//! [`crate::bus`] over Redis pub/sub.
//!
//! - [`supervisor`]: a [`listener`] for each server that has partitions, with a [`connection`] of its own; [`answers`] and
//!   [`probes`] are parts of it
//! - [`book`]: the channels that the node wants, and where each is to be subscribed · [`ledger`]: the subscriptions of one
//!   connection · [`commands`]: what is sent for them · [`hub`]: what the listeners share
//!
//! After a connection was lost, or a partition has moved to another server, the channels are subscribed again, in batches,
//! and only then the node gets [`crate::bus::BusEvent::Gap`] with the partitions that may have missed messages. On a Redis Cluster
//! messages and subscriptions are sharded; then a server says by itself that it has no channel any more, because its slot
//! has moved. The node's queue is bounded: a node that cannot keep up with its channels loses messages and receives
//! a gap, too.

mod answers;
mod book;
#[cfg(test)]
mod book_tests;
mod commands;
mod connection;
mod hub;
mod ledger;
mod listener;
mod probes;
mod supervisor;

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use bytes::Bytes;
use jackfield_shared::lifecycle::Lifecycle;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::{
    book::{Book, Reach},
    commands::Kind,
    hub::{Emitters, Hub},
    supervisor::Supervisor,
};
use crate::{
    TIMEOUT, Unavailable,
    bus::{BusEvents, Channel, EmitterMessages, ServerHealth, emitters, events},
    ids::NodeId,
    once::REMEMBERED,
    redis::{
        link::RedisLink,
        script::{Source, script},
        streams::millis,
    },
    wire::envelope,
};

static PUBLISH_ONCE: LazyLock<Source> = script!("../publish_once.lua");

/// A node's endpoint of the bus.
#[derive(Clone)]
pub struct RedisBus {
    link: Arc<RedisLink>,
    hub: Arc<Hub>,
}

impl RedisBus {
    pub(crate) fn start(link: Arc<RedisLink>, node: &NodeId, lifecycle: &Lifecycle) -> (Self, BusEvents) {
        let (queue, events) = events::queue();
        let hub = Arc::new(Hub {
            keys: link.keys.clone(),
            node: node.to_string(),
            kind: Kind::of(link.is_cluster()),
            book: Mutex::new(Book::new()),
            queue,
            emitters: Mutex::new(Emitters::default()),
            ears: Mutex::default(),
            began: Instant::now(),
        });
        Supervisor::start(Arc::clone(&hub), link.routing(), lifecycle);
        (Self { link, hub }, events)
    }

    pub(crate) async fn publish(&self, channel: &Channel, payload: Bytes) -> Result<(), Unavailable> {
        let mut command = self.hub.kind.publish();
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
        self.want(channels, Reach::All).await
    }

    pub(crate) async fn subscribe_reachable(&self, channels: &[Channel]) -> Result<(), Unavailable> {
        self.want(channels, Reach::Reachable).await
    }

    async fn want(&self, channels: &[Channel], reach: Reach) -> Result<(), Unavailable> {
        let (done, answer) = oneshot::channel();
        let named = channels.iter().flat_map(|channel| {
            let names = self.link.keys.channels(channel).into_iter();
            names.map(|(partition, name)| (partition, name, channel.clone()))
        });
        let named: Vec<_> = named.collect();
        self.hub.book.lock().want(named.into_iter(), reach, done);
        let answer = tokio::time::timeout(TIMEOUT, answer).await;
        answer.map_err(|_| Unavailable)?.map_err(|_| Unavailable)
    }

    pub(crate) fn unsubscribe(&self, channels: &[Channel]) {
        let names: Vec<_> = channels.iter().flat_map(|channel| self.link.keys.channels(channel)).collect();
        self.hub.book.lock().unwant(names.iter().map(|(_, name)| name.as_str()));
    }

    pub(crate) async fn rooms(&self, namespaces: &[&str]) -> Result<usize, Unavailable> {
        let mut command = redis::cmd("EVAL");
        // Redis counts, so that the names are not sent.
        command.arg(self.hub.kind.count_script()).arg(0);
        for namespace in namespaces {
            command.arg(self.link.keys.rooms_of(namespace));
        }
        let counts: Vec<usize> = self.link.everywhere(&command).await?;
        Ok(counts.into_iter().sum())
    }

    pub(crate) fn emitters(&self, prefix: &str) -> EmitterMessages {
        let (queue, messages) = emitters::queue(prefix);
        self.hub.emitters.lock().queue = Some(queue);
        messages
    }

    pub(crate) fn healthy(&self) -> bool {
        self.hub.ears.lock().iter().all(hub::Ear::is_heard)
    }

    pub(crate) fn health(&self) -> Vec<ServerHealth> {
        let ears = self.hub.ears.lock();
        ears.iter().map(|ear| ServerHealth { server: ear.server.clone(), is_heard: ear.is_heard() }).collect()
    }
}
