//! Follows the stored keys while the service runs, and takes part in their upkeep.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{KeyManager, KeyRing, KeysError};
use crate::{app::App, metrics};

/// Pause between two rounds. [`rotation::SETTLE`](super::rotation::SETTLE) is several of them.
const EVERY: Duration = Duration::from_secs(3);
/// Timeout of one round.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until `stopping`. If a round fails, the service goes on with the keys that it has.
pub(crate) async fn follow(manager: KeyManager, app: Arc<App>, stopping: CancellationToken) {
    let mut failing = false;
    while stopping.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let Some(loaded) = stopping.run_until_cancelled(load_in_time(&manager)).await else { return };
        match loaded {
            Ok(ring) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("loaded the signing keys again");
                }
                replace(&app, ring);
            }
            Err(error) => {
                metrics::KEY_RELOADS_FAILED.add(1);
                // Logged once for each outage, because the database may be away for long.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(
                        error,
                        "cannot load the signing keys, keeping the last ones; check the database at `database.url` \
                         (DATABASE_URL) and `keys.secret` (KEYS_SECRET)"
                    );
                }
            }
        }
    }
}

/// The keys, or the text of the error.
async fn load_in_time(manager: &KeyManager) -> Result<KeyRing, String> {
    let late = |_| "the database did not answer in time".to_owned();
    let loaded = tokio::time::timeout(TIMEOUT, load(manager)).await.map_err(late)?;
    loaded.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

async fn load(manager: &KeyManager) -> Result<KeyRing, KeysError> {
    let keys = manager.upkeep(Utc::now()).await?;
    Ok(KeyRing::new(&keys, Utc::now())?)
}

/// Uses `ring` from now on. A verifier in the same process gets the keys before any token is signed with them.
fn replace(app: &App, ring: KeyRing) {
    let before = app.tokens.keys();
    if before.is_same(&ring) {
        return;
    }
    let published = ring.public().clone();
    app.jwks.send_if_modified(|set| {
        let changed = *set != published;
        *set = published;
        changed
    });
    if before.kid() != ring.kid() {
        metrics::KEY_ROTATIONS.add(1);
        tracing::info!(kid = ring.kid(), before = before.kid(), "signing with another key");
    }
    app.tokens.replace_keys(ring);
}
