//! Finds the master that sentinels keep.
//!
//! All sentinels are asked at the same time, each for at most [`ASK_TIMEOUT`]. The address that most of them name is tried
//! first; as soon as more than half of all agree, the others are not waited for. A server is used only if it says itself
//! that it is a master. So a single sentinel that is wrong (it names a replica, or another server, or does not know the
//! master) cannot lead the node astray, and one that is down costs nothing. If no server that the first answers name is a
//! master, all sentinels are waited for.
//!
//! Between connects a task asks one sentinel every [`WATCH_EVERY`]: a master that is frozen or cut off keeps its
//! connections, while the sentinels have chosen another one.
//!
//! Deliberately not here: `+switch-master` messages, which a lost connection would lose, and replicas: all reads go to the
//! master.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use redis::{RedisResult, from_redis_value};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    connector::{Connector, ELECT_TIMEOUT, failed, login, within},
    hello::{Protocol, ask},
    report::Failing,
    stream::Stream,
    target::{Address, Endpoint, Master},
};

const ASK_TIMEOUT: Duration = Duration::from_millis(400);
/// For connecting to a server that sentinels name.
const VERIFY_TIMEOUT: Duration = Duration::from_millis(500);
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// A connection to the master, and its address. Sentinels and servers that are passed over are logged.
pub(super) async fn connect(
    master: &Master,
    protocol: Protocol,
    passed_over: &Failing,
) -> RedisResult<(Stream, Address)> {
    let (mut tried, mut problems) = (Vec::new(), Vec::new());
    for ask in [Ask::Majority, Ask::All] {
        let candidates = candidates(master, ask).await;
        problems.extend(candidates.problems);
        for address in candidates.addresses {
            if tried.contains(&address) {
                continue;
            }
            let found = within(VERIFY_TIMEOUT, Box::pin(verified(master, &address, protocol))).await;
            match found {
                Ok(stream) => {
                    note(master, problems, passed_over);
                    return Ok((stream, address));
                }
                Err(error) => problems.push(format!("{address}, which sentinels name as the master: {error}")),
            }
            tried.push(address);
        }
        if candidates.has_asked_all {
            break;
        }
    }
    Err(failed(joined(problems)))
}

/// Tells the connector about another master than the one that it uses.
pub(super) async fn watch(master: Master, connector: Arc<Connector>, stopping: CancellationToken) {
    let passed_over = Failing::default();
    let mut tick = interval(WATCH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sentinels = master.sentinels.iter().cycle();
    let mut open: Option<(&Endpoint, Stream)> = None;
    let watching = async {
        loop {
            tick.tick().await;
            let asked = within(ASK_TIMEOUT, async {
                let (sentinel, mut stream) = match open.take() {
                    Some(open) => open,
                    None => {
                        let sentinel = sentinels.next().ok_or_else(|| failed("no sentinel"))?;
                        (sentinel, Box::pin(login(sentinel, Protocol::Resp2)).await?.0)
                    }
                };
                let address = master_by(&mut stream, &master.name).await?;
                Ok((sentinel, stream, address))
            });
            let Ok((sentinel, stream, Some(address))) = asked.await else { continue };
            open = Some((sentinel, stream));
            if !connector.is_elsewhere(&address) {
                continue;
            }
            // The answer of one sentinel is not enough.
            let found = within(ELECT_TIMEOUT, Box::pin(connect(&master, Protocol::Resp2, &passed_over))).await;
            if let Ok((_, address)) = found {
                connector.found(address);
            }
        }
    };
    stopping.run_until_cancelled(watching).await;
}

/// How many sentinels to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Until more than half of all agree.
    Majority,
    All,
}

/// The answers of the sentinels.
struct Candidates {
    /// In the order in which to try them.
    addresses: Vec<Address>,
    /// Why sentinels name no address.
    problems: Vec<String>,
    has_asked_all: bool,
}

async fn candidates(master: &Master, until: Ask) -> Candidates {
    let ask = |sentinel: Endpoint| async move {
        let asked = within(ASK_TIMEOUT, async {
            let (mut stream, greeting) = Box::pin(login(&sentinel, Protocol::Resp2)).await?;
            if greeting.mode != "sentinel" {
                return Err(failed("this is no sentinel"));
            }
            master_by(&mut stream, &master.name).await
        });
        (asked.await, sentinel.address)
    };
    let mut asked: FuturesUnordered<_> = master.sentinels.iter().cloned().map(ask).collect();
    let (mut named, mut problems, mut unknown) = (Vec::new(), Vec::new(), 0);
    while let Some((answer, sentinel)) = asked.next().await {
        match answer {
            Ok(Some(address)) => named.push(address),
            Ok(None) => {
                unknown += 1;
                problems.push(format!("sentinel {sentinel} does not know the master `{}`", master.name));
            }
            Err(error) => problems.push(format!("sentinel {sentinel}: {error}")),
        }
        if until == Ask::Majority && has_majority(&named, master.sentinels.len()) {
            break;
        }
    }
    if unknown == master.sentinels.len() {
        let sentinels: Vec<_> = master.sentinels.iter().map(|sentinel| sentinel.address.to_string()).collect();
        let (sentinels, name) = (sentinels.join(", "), &master.name);
        problems = vec![format!("no sentinel of {sentinels} knows the master `{name}` of `redis.master`")];
    }
    Candidates { addresses: ranked(named), problems, has_asked_all: asked.is_empty() }
}

/// One sentinel's answer; `None` if it does not know the master.
async fn master_by(stream: &mut Stream, name: &str) -> RedisResult<Option<Address>> {
    let answer = ask(stream, redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name)).await?;
    let named: Option<(String, u16)> = from_redis_value(answer)?;
    Ok(named.map(|(host, port)| Address::Tcp { host: host.into(), port }))
}

/// A connection to a server that is a master.
async fn verified(master: &Master, address: &Address, protocol: Protocol) -> RedisResult<Stream> {
    let endpoint = Endpoint { address: address.clone(), ..master.access.clone() };
    let (stream, greeting) = login(&endpoint, protocol).await?;
    match (greeting.mode.as_str(), greeting.role.as_str()) {
        ("sentinel", _) => Err(failed("it is a sentinel")),
        (_, "master") => Ok(stream),
        (_, role) => Err(failed(format!("it is no master but a {role}"))),
    }
}

fn has_majority(named: &[Address], sentinels: usize) -> bool {
    named.iter().any(|address| named.iter().filter(|other| *other == address).count() * 2 > sentinels)
}

/// Each address once, the ones named most often first, then those named first.
fn ranked(named: Vec<Address>) -> Vec<Address> {
    let mut counted: Vec<(Address, usize)> = Vec::new();
    for address in named {
        match counted.iter_mut().find(|(other, _)| *other == address) {
            Some((_, count)) => *count += 1,
            None => counted.push((address, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| usize::MAX - count);
    counted.into_iter().map(|(address, _)| address).collect()
}

fn note(master: &Master, problems: Vec<String>, passed_over: &Failing) {
    if problems.is_empty() {
        return;
    }
    let problems = joined(problems);
    if passed_over.is_due(&problems) {
        tracing::warn!(master = &*master.name, problems, "passed over sentinels, or servers that they name");
    }
}

/// In an order that does not depend on how fast the answers came, so that the same problems are the same text.
fn joined(mut problems: Vec<String>) -> String {
    problems.sort();
    problems.dedup();
    problems.join("; ")
}

#[cfg(test)]
#[path = "sentinel_tests.rs"]
mod tests;
