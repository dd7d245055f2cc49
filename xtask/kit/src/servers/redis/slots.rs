//! Moves slots between the masters of a Redis Cluster while they are used, as `redis-cli --cluster reshard` does: the
//! keys of a slot move a few at a time, and meanwhile the slot is at both masters.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, sleep};

use super::{
    Redis,
    client::{Connection, Reply},
    cluster,
};

/// Keys that move at once; clients see a slot in the middle of its move if it has more.
const AT_ONCE: &str = "10";
/// All nodes learn of a move within this time: each hears from each other at least twice per `cluster-node-timeout`.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The result of a move.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moved {
    /// Slots that have another master now.
    pub slots: usize,
    /// Keys in them.
    pub keys: usize,
}

/// The slots of these ranges in which the master has keys.
pub async fn used(master: &Redis, ranges: &[(u16, u16)]) -> Result<Vec<u16>> {
    let (mut connection, mut used) = (master.connect().await?, Vec::new());
    for slot in ranges.iter().flat_map(|(first, last)| *first..=*last) {
        if connection.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]).await? != Reply::Number(0) {
            used.push(slot);
        }
    }
    Ok(used)
}

/// Moves these slots, one after the other.
pub async fn move_slots(masters: &[&Redis], from: &Redis, to: &Redis, slots: &[u16]) -> Result<Moved> {
    let (from_id, to_id) = (cluster::id(from).await?, cluster::id(to).await?);
    let (mut source, mut target) = (from.connect().await?, to.connect().await?);
    let mut others = Vec::new();
    for master in masters.iter().filter(|master| master.port != from.port && master.port != to.port) {
        others.push(master.connect().await?);
    }
    let mut moved = Moved::default();
    for slot in slots {
        let number = slot.to_string();
        target.ask(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &from_id]).await?;
        source.ask(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &to_id]).await?;
        let keys = move_keys(&mut source, &number, to).await;
        moved.keys += keys.with_context(|| format!("slot {number} from {} to {}", from.name(), to.name()))?;
        // The new master first: with the other order, a master that dies between them leaves a slot without one.
        let at_last = [&mut target, &mut source].into_iter().chain(&mut others);
        for master in at_last {
            master.ask(&["CLUSTER", "SETSLOT", &number, "NODE", &to_id]).await?;
        }
        moved.slots += 1;
    }
    Ok(moved)
}

/// Waits until no node that answers, master or replica, names the former master of these slots. A replica that takes
/// over before it has learned of the move leaves the slots to a master that has become its replica.
pub async fn known(nodes: &[Redis], from: &Redis, slots: &[u16]) -> Result<()> {
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        let mut behind = Vec::new();
        for node in nodes {
            let Ok(owned) = cluster::slots_of(node, from).await else { continue };
            if slots.iter().any(|slot| owned.iter().any(|(first, last)| (first..=last).contains(&slot))) {
                behind.push(node.name());
            }
        }
        if behind.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{} do not know where slots moved", behind.join(", "));
        sleep(CHECK_INTERVAL).await;
    }
}

/// Moves all keys of a slot; clients may delete some meanwhile, and make new ones only at the new master.
async fn move_keys(source: &mut Connection, slot: &str, to: &Redis) -> Result<usize> {
    let (port, mut count) = (to.port.to_string(), 0);
    loop {
        let Reply::List(keys) = source.ask(&["CLUSTER", "GETKEYSINSLOT", slot, AT_ONCE]).await? else {
            return Ok(count);
        };
        if keys.is_empty() {
            return Ok(count);
        }
        let mut head = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
        head.extend(to.password.iter().flat_map(|password| ["AUTH", password]));
        head.push("KEYS");
        let head = head.into_iter().map(|part| part.as_bytes().to_vec());
        let names = keys.iter().filter_map(|key| if let Reply::Text(key) = key { Some(key.clone()) } else { None });
        let command: Vec<Vec<u8>> = head.chain(names).collect();
        source.ask(&command).await?;
        count += keys.len();
    }
}
