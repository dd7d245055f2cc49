//! Servers and clients of a run together: a server that ends by itself fails the run.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail};
use tokio::time::sleep;
use xtask_kit::workdir::Workdir;

use super::{
    crowd::{Crowd, Kind},
    fleet::{Fleet, Wanted},
    shared::Shared,
    users,
};

/// Interval between two checks that all servers live.
const LOOK: Duration = Duration::from_millis(200);

/// All servers and clients of a run.
pub struct Stage {
    /// Servers.
    pub fleet: Fleet,
    /// Clients.
    pub crowd: Crowd,
}

impl Stage {
    /// Starts servers, then clients, and waits until every member is in its rooms.
    pub async fn set(wanted: &Wanted, kind: &Kind<'_>, workdir: &Workdir) -> Result<Self> {
        let secret = format!("{:032x}", rand::random::<u128>());
        let mut fleet = Fleet::start(wanted, &secret, workdir).await?;
        let crowd = Crowd::enter(kind, &fleet.addresses(), users::signed(kind.sizes.members, &secret)?);
        tokio::select! {
            gathered = crowd.gathered() => gathered?,
            death = death(&mut fleet) => bail!(death),
        }
        eprintln!("{} members are in; senders begin", kind.sizes.members);
        Ok(Self { fleet, crowd })
    }

    /// Waits until all is acknowledged and everybody has caught up: [`Crowd::settle`].
    pub async fn settle(&mut self) -> Result<Option<String>> {
        tokio::select! {
            settled = self.crowd.settle() => Ok(settled),
            death = death(&mut self.fleet) => bail!(death),
        }
    }

    /// Fails if a server ended by itself.
    pub fn alive(&mut self) -> Result<()> {
        self.fleet.deaths().into_iter().next().map_or(Ok(()), |death| bail!(death))
    }

    /// Ends clients, then servers. Returns the records.
    pub async fn strike(self) -> Arc<Shared> {
        let shared = self.crowd.leave().await;
        self.fleet.stop().await;
        shared
    }
}

/// Waits for a server to end by itself.
async fn death(fleet: &mut Fleet) -> String {
    loop {
        if let Some(death) = fleet.deaths().into_iter().next() {
            return death;
        }
        sleep(LOOK).await;
    }
}
