//! The probes that a listener publishes to itself, on a channel in a partition that its server has.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    connection::Connection,
    ledger::{Step, Subject},
    listener::Listener,
};
use crate::{TIMEOUT, metrics};

impl Listener {
    /// Subscribes to a channel for probes in a partition that this server has, if there is none.
    pub(super) fn choose_probe(&self, connection: &mut Connection) {
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
    pub(super) fn send_probe(&self, name: &str) {
        let sent = u64::try_from(self.hub.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut command = self.hub.kind.publish();
        command.arg(name).arg(sent);
        let server = Arc::clone(&self.server);
        // The task ends by itself within the timeout, so it need not be tracked.
        #[expect(clippy::disallowed_methods, reason = "bounded by the timeout")]
        drop(tokio::spawn(async move { timeout(TIMEOUT, server.send(&command)).await.map(drop) }));
    }

    /// Records the lag and the backlog when a probe comes back.
    pub(super) fn measure(&self, probe: &[u8]) {
        if let Some(sent) = std::str::from_utf8(probe).ok().and_then(|sent| sent.parse().ok()) {
            metrics::BUS_LAG.record(self.hub.began.elapsed().saturating_sub(Duration::from_micros(sent)));
        }
        metrics::BUS_BACKLOG.set(self.hub.queue.len());
    }
}
