//! Finds the master that sentinels keep.
//!
//! All sentinels are asked at the same time, each for at most [`ASK_TIMEOUT`]. The address that most of them name is tried
//! first; as soon as more than half of all agree, the others are not waited for. A server is used only if it says itself
//! that it is a master, and if then no sentinel that answers says that it is being replaced ([`view`]): all of them are
//! asked once more, because the connection may have been made in the middle of a failover.
//!
//! So a single sentinel that is wrong (it names a replica, or another server, or does not know the master) cannot lead the
//! node astray, and one that is down costs nothing. If no server that the first answers name is a master, all sentinels are
//! waited for.
//!
//! Between connects a task watches for another master: [`watch`]. Writes that a replica confirms are answered only if the
//! sentinels have no objection afterwards: [`council`].
//!
//! Deliberately not here: `+switch-master` messages, which a lost connection would lose, and replicas: all reads go to the
//! master.

mod council;
mod view;
mod watch;

use std::time::Duration;

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use redis::RedisResult;

use super::{
    connector::{failed, login, within},
    hello::Protocol,
    report::Failing,
    stream::Stream,
    target::{Address, Endpoint, Master},
};
pub(super) use council::Council;
use view::{View, objection, open, view};
pub(super) use watch::watch;

const ASK_TIMEOUT: Duration = Duration::from_millis(400);
/// For connecting to a server that sentinels name.
const VERIFY_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection to the master, and its address. Sentinels and servers that are passed over are logged.
///
/// The type of its future is erased: with it, those of its callers would be nested too deeply for the compiler.
pub(super) fn connect<'a>(
    master: &'a Master,
    protocol: Protocol,
    passed_over: &'a Failing,
) -> BoxFuture<'a, RedisResult<(Stream, Address)>> {
    search(master, protocol, passed_over).boxed()
}

async fn search(master: &Master, protocol: Protocol, passed_over: &Failing) -> RedisResult<(Stream, Address)> {
    let (mut tried, mut problems) = (Vec::new(), Vec::new());
    for ask in [Ask::Majority, Ask::All] {
        let candidates = candidates(master, ask).await;
        problems.extend(candidates.problems);
        for address in candidates.addresses {
            if tried.contains(&address) {
                continue;
            }
            let usable = async {
                let stream = within(VERIFY_TIMEOUT, Box::pin(verified(master, &address, protocol))).await?;
                // Now, and not before: a failover that begins later breaks off, or is noticed by the watch.
                unopposed(master, &address).await.map(|()| stream)
            };
            match usable.await {
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
    let mut asked: FuturesUnordered<_> =
        master.sentinels.iter().map(|sentinel| asked(sentinel, &master.name)).collect();
    let (mut named, mut problems, mut unknown) = (Vec::new(), Vec::new(), 0);
    while let Some((sentinel, answer)) = asked.next().await {
        match answer {
            Ok(Some(view)) => named.push(view.named),
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

/// A sentinel's address and its view, over a connection of its own; `None` if it does not know the master.
async fn asked(sentinel: &Endpoint, name: &str) -> (Address, RedisResult<Option<View>>) {
    let answer = within(ASK_TIMEOUT, async { view(&mut open(sentinel).await?, name).await });
    (sentinel.address.clone(), answer.await)
}

/// Fails if a sentinel says that this server is being replaced, or has been, or if none answers.
async fn unopposed(master: &Master, address: &Address) -> RedisResult<()> {
    let asked = master.sentinels.iter().map(|sentinel| asked(sentinel, &master.name));
    let answers = join_all(asked).await.into_iter();
    let views: Vec<_> = answers.filter_map(|(sentinel, answer)| Some((sentinel, answer.ok()??))).collect();
    match objection(&views, address) {
        None if views.is_empty() => Err(failed("no sentinel says whether it is being replaced")),
        None => Ok(()),
        Some(objection) => Err(failed(objection)),
    }
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
