//! Claims a connection's session in the cluster, which also makes its user online.

use std::sync::Arc;

use jackfield_cluster::{
    Unavailable,
    connects::{Connected, Granted},
    ids::{Incarnation, SessionRef},
    presence::Stay,
    recovery::Wish,
};
use jackfield_shared::claims::Identity;

use super::{Connection, refusal::Refusal, state::Claim};
use crate::metrics;

/// Claims the session of `identity`'s user. Without a grant, nothing stays claimed.
pub(super) async fn claim(
    connection: &Arc<Connection>,
    identity: &Identity,
    wish: Option<&Wish>,
) -> Result<Granted, Refusal> {
    let shared = &connection.shared;
    let incarnation = shared.lease.incarnation().ok_or(Refusal::Temporary)?;
    if shared.releases.is_full() {
        return Err(Refusal::Temporary);
    }
    let session = connection.session_ref(Arc::clone(&identity.user_id));
    {
        // Under the lock, so that a concurrent end either shows here or removes the entry.
        let state = connection.session.lock();
        if state.is_ended() {
            return Err(Refusal::Temporary);
        }
        // Insert before the claim, so that an eviction finds the session even before the claim's answer arrives.
        shared.connections.insert(connection, Some(&identity.user_id));
    }
    match connect(connection, &session, &incarnation, wish).await {
        Ok(Connected::Granted(granted)) => {
            metrics::CLAIMS.add_for(["granted"], 1);
            connection.session.lock().granted(Claim { generation: granted.generation, incarnation });
            Ok(granted)
        }
        Ok(Connected::Refused { .. }) => {
            metrics::CLAIMS.add_for(["refused"], 1);
            Err(Refusal::Permanent("session_conflict"))
        }
        Err(Unavailable) => {
            metrics::CLAIMS.add_for(["unavailable"], 1);
            // The claim may have succeeded nevertheless, or may still succeed once Redis answers: release it.
            shared.releases.push(Stay::online(&session), incarnation);
            Err(Refusal::Temporary)
        }
    }
}

async fn connect(
    connection: &Connection,
    session: &SessionRef,
    incarnation: &Incarnation,
    wish: Option<&Wish>,
) -> Result<Connected, Unavailable> {
    let (cluster, policy) = (&connection.shared.cluster, connection.shared.policy);
    let connected = cluster.connects.connect(session, incarnation, policy, &[], wish).await?;
    let Connected::Refused { holders } = &connected else { return Ok(connected) };
    // Nodes register before they claim, so a holder that is not live is dead: retry without its sessions.
    let live = cluster.membership.live().await?;
    let dead: Vec<_> = holders.iter().filter(|holder| !live.contains(holder)).cloned().collect();
    match dead.is_empty() {
        true => Ok(connected),
        false => cluster.connects.connect(session, incarnation, policy, &dead, wish).await,
    }
}
