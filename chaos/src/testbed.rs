//! Servers and clients of a run together. A server that exits by itself fails the run.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::time::timeout;
use xtask_kit::workdir::Workdir;

use super::{
    args::Args,
    crowd::{ClientConfig, Crowd},
    fleet::Fleet,
    shared::Shared,
    users,
};

/// Interval between two checks that all servers run.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// All servers and clients of a run.
pub struct Testbed {
    /// Servers.
    pub fleet: Fleet,
    /// Clients.
    pub crowd: Crowd,
}

impl Testbed {
    /// Starts servers, then clients, and waits until every member is in its rooms.
    pub async fn start(args: &Args, clients: &ClientConfig, workdir: &Workdir) -> Result<Self> {
        let secret = format!("{:032x}", rand::random::<u128>());
        let mut fleet = Fleet::start(args.setup(), args.nodes, &args.settings(), &secret, workdir).await?;
        let crowd = Crowd::start(clients, &fleet.addresses(), users::signed(clients.sizes.members, &secret)?);
        while_running(&mut fleet, crowd.joined()).await??;
        eprintln!("{} members have joined; sending starts", clients.sizes.members);
        Ok(Self { fleet, crowd })
    }

    /// Waits until all messages are acknowledged and all members have caught up: [`Crowd::settle`].
    pub async fn settle(&mut self) -> Result<Option<String>> {
        while_running(&mut self.fleet, self.crowd.settle()).await
    }

    /// Stops clients, then servers. Returns the records.
    pub async fn stop(self) -> Arc<Shared> {
        let shared = self.crowd.stop().await;
        self.fleet.stop().await;
        shared
    }
}

/// Waits for `work`; fails if a server exits by itself meanwhile.
async fn while_running<T>(fleet: &mut Fleet, work: impl Future<Output = T>) -> Result<T> {
    tokio::pin!(work);
    loop {
        if let Ok(done) = timeout(CHECK_INTERVAL, &mut work).await {
            return Ok(done);
        }
        fleet.check()?;
    }
}
