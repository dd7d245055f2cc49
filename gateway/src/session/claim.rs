//! Claims a connection's session in the cluster.

use std::sync::Arc;

use jackfield_cluster::{
    Unavailable,
    ids::{Incarnation, SessionRef},
    presence::Stay,
    sessions::Claimed,
};
use jackfield_shared::claims::Identity;

use super::{Connection, refusal::Refusal, state::Claim};
use crate::metrics;

/// Claims the session of `identity`'s user. Without a grant, nothing stays claimed.
pub(super) async fn claim(connection: &Arc<Connection>, identity: &Identity) -> Result<(), Refusal> {
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
    match try_claim(connection, &session, &incarnation).await {
        Ok(Claimed::Granted { generation }) => {
            metrics::CLAIMS.add_for(["granted"], 1);
            connection.session.lock().granted(Claim { generation, incarnation });
            Ok(())
        }
        Ok(Claimed::Refused { .. }) => {
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

async fn try_claim(
    connection: &Connection,
    session: &SessionRef,
    incarnation: &Incarnation,
) -> Result<Claimed, Unavailable> {
    let (cluster, policy) = (&connection.shared.cluster, connection.shared.policy);
    let stay = Stay::online(session);
    // The index entry is sent first, on the same connection, so Redis stores it before the claim.
    let (indexed, claimed) = tokio::join!(
        biased;
        cluster.membership.index_add(incarnation, std::slice::from_ref(&stay)),
        cluster.sessions.claim(session, incarnation, policy, &[])
    );
    indexed?;
    match claimed? {
        Claimed::Refused { holders } => {
            // Nodes register before they claim, so a holder that is not live is dead: retry without its sessions.
            let live = cluster.membership.live().await?;
            let dead: Vec<_> = holders.iter().filter(|holder| !live.contains(holder)).cloned().collect();
            match dead.is_empty() {
                true => Ok(Claimed::Refused { holders }),
                false => cluster.sessions.claim(session, incarnation, policy, &dead).await,
            }
        }
        granted @ Claimed::Granted { .. } => Ok(granted),
    }
}
