//! Servers and clients of a run together. A server that exits by itself fails the run.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use tokio::time::sleep;
use xtask_kit::workdir::Workdir;

use super::{
    crowd::{ClientConfig, Crowd},
    fleet::{Fleet, ServerConfig},
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
    pub async fn start(servers: &ServerConfig, clients: &ClientConfig, workdir: &Workdir) -> Result<Self> {
        let secret = format!("{:032x}", rand::random::<u128>());
        let mut fleet = Fleet::start(servers, &secret, workdir).await?;
        let crowd = Crowd::start(clients, &fleet.addresses(), users::signed(clients.sizes.members, &secret)?);
        tokio::select! {
            joined = crowd.joined() => joined?,
            exit = exit_of(&mut fleet) => bail!(exit),
        }
        eprintln!("{} members have joined; sending starts", clients.sizes.members);
        Ok(Self { fleet, crowd })
    }

    /// Waits until all messages are acknowledged and all members have caught up: [`Crowd::settle`].
    pub async fn settle(&mut self) -> Result<Option<String>> {
        tokio::select! {
            settled = self.crowd.settle() => Ok(settled),
            exit = exit_of(&mut self.fleet) => bail!(exit),
        }
    }

    /// Fails if a server exited by itself.
    pub fn check_servers(&mut self) -> Result<()> {
        self.fleet.exits().into_iter().next().map_or(Ok(()), |exit| bail!(exit))
    }

    /// Stops clients, then servers. Returns the records.
    pub async fn stop(self) -> Arc<Shared> {
        let shared = self.crowd.stop().await;
        self.fleet.stop().await;
        shared
    }
}

/// Waits until a server exits by itself; returns its exit as text.
async fn exit_of(fleet: &mut Fleet) -> String {
    loop {
        if let Some(exit) = fleet.exits().into_iter().next() {
            return exit;
        }
        sleep(CHECK_INTERVAL).await;
    }
}
