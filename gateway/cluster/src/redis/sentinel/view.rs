//! One sentinel's view of a master, and the reasons against a server that it gives. [`objection`] is pure.
//!
//! A killed master that is back before the sentinels have replaced it is still named by them, and says that it is a
//! master. Everything that it is told is lost at the switch, even if a replica that still follows it has it. Only the
//! sentinel that leads the failover has the flag `failover_in_progress`, so one sentinel is enough to object.
//!
//! Deliberately no objections: `s_down`, which is one sentinel's opinion and outlasts a short restart, and `o_down`. A
//! failover that follows has its own flag from its beginning; without one the sentinels found no majority or no replica,
//! and this master is all there is.

use std::collections::HashMap;

use redis::{RedisResult, from_redis_value};

use crate::redis::{
    connector::{failed, login},
    hello::{Protocol, ask},
    stream::Stream,
    target::{Address, Endpoint},
};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// The server that clients are to use. It changes once a replica says that it is the master now.
    pub(super) named: Address,
    /// The server that the sentinel watches as the master. It changes at the end of a failover.
    watched: Address,
    is_failing_over: bool,
    /// Counts the failovers: sentinels take over the master of a later one from each other.
    epoch: u64,
}

/// Connects to a sentinel.
pub(super) async fn open(sentinel: &Endpoint) -> RedisResult<Stream> {
    let (stream, greeting) = Box::pin(login(sentinel, Protocol::Resp2)).await?;
    if greeting.mode == "sentinel" { Ok(stream) } else { Err(failed("this is no sentinel")) }
}

/// One sentinel's view; `None` if it does not know the master.
pub(super) async fn view(sentinel: &mut Stream, name: &str) -> RedisResult<Option<View>> {
    // The flags come first: a switch between the two answers shows as a change of mind.
    let state = match ask(sentinel, redis::cmd("SENTINEL").arg("MASTER").arg(name)).await {
        Err(error) if error.detail().is_some_and(|detail| detail.starts_with("No such master")) => return Ok(None),
        state => from_redis_value(state?)?,
    };
    let named = ask(sentinel, redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name)).await?;
    let Some((host, port)) = from_redis_value::<Option<(String, u16)>>(named)? else { return Ok(None) };
    View::read(&state, Address::Tcp { host: host.into(), port }).map(Some)
}

impl View {
    fn read(state: &HashMap<String, String>, named: Address) -> RedisResult<Self> {
        let field = |name| state.get(name).ok_or_else(|| failed(format!("SENTINEL MASTER does not say `{name}`")));
        let number = |_| failed("SENTINEL MASTER gives no number");
        Ok(Self {
            named,
            watched: Address::Tcp { host: field("ip")?.as_str().into(), port: field("port")?.parse().map_err(number)? },
            is_failing_over: field("flags")?.split(',').any(|flag| flag == "failover_in_progress"),
            epoch: field("config-epoch")?.parse().map_err(number)?,
        })
    }
}

/// Why a server must not be used as the master although most of these sentinels may name it. Views are with the addresses
/// of their sentinels.
pub(super) fn objection(views: &[(Address, View)], server: &Address) -> Option<String> {
    let names = |view: &&View| view.named == *server;
    let newest = views.iter().map(|(_, view)| view).filter(names).map(|view| view.epoch).max();
    views.iter().find_map(|(sentinel, view)| {
        if view.watched == *server && (view.is_failing_over || view.named != *server) {
            Some(format!("sentinel {sentinel} says that a failover of it is in progress"))
        } else if view.named != *server && newest.is_none_or(|newest| view.epoch > newest) {
            Some(format!("sentinel {sentinel} names {} since a later failover", view.named))
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(port: u16) -> Address {
        Address::Tcp { host: "a".into(), port }
    }

    fn view(named: u16, watched: u16, is_failing_over: bool, epoch: u64) -> View {
        View { named: at(named), watched: at(watched), is_failing_over, epoch }
    }

    fn objections(views: &[View], server: u16) -> Option<String> {
        let views: Vec<_> = (101..).map(at).zip(views.iter().cloned()).collect();
        objection(&views, &at(server))
    }

    #[test]
    fn a_failover_from_its_beginning_to_its_end() {
        const OLD: u16 = 1;
        const NEW: u16 = 2;
        let (follower, knows) = (view(OLD, OLD, false, 4), view(NEW, NEW, false, 5));
        let begun = [view(OLD, OLD, true, 4), follower.clone(), follower.clone()];
        assert_eq!(objections(&begun, OLD).unwrap(), "sentinel a:101 says that a failover of it is in progress");
        let promoted = [follower.clone(), view(NEW, OLD, true, 5), follower.clone()];
        assert_eq!(objections(&promoted, OLD).unwrap(), "sentinel a:102 says that a failover of it is in progress");
        assert_eq!(objections(&promoted, NEW), None, "the failover is that of the old one");
        let between_two_answers = [view(NEW, OLD, false, 4), follower.clone()];
        assert!(objections(&between_two_answers, OLD).is_some());
        let others_do_not_know = [follower.clone(), follower.clone(), knows.clone()];
        assert_eq!(objections(&others_do_not_know, OLD).unwrap(), "sentinel a:103 names a:2 since a later failover");
        assert_eq!(objections(&others_do_not_know, NEW), None);
        assert_eq!(objections(&[knows.clone(), knows.clone(), follower], NEW), None, "one that was away is behind");
        assert_eq!(objections(&[knows], NEW), None);
    }

    #[test]
    fn a_sentinel_that_names_another_server_of_the_same_epoch_is_outvoted() {
        let (right, wrong) = (view(1, 1, false, 0), view(9, 9, true, 0));
        assert_eq!(objections(&[wrong.clone(), right.clone()], 1), None);
        assert!(objections(&[wrong], 1).is_some(), "nobody names it any more");
        assert_eq!(objections(&[right], 1), None, "at the first start");
    }

    #[test]
    fn flags_are_read_and_what_is_missing_is_named() {
        let state = |flags: &str| {
            let fields = [("ip", "a"), ("port", "1"), ("config-epoch", "7"), ("flags", flags)];
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect::<HashMap<_, _>>()
        };
        for (flags, expected) in [
            ("master", false),
            ("s_down,o_down,master", false),
            ("master,failover_in_progress", true),
            ("failover_in_progress,master,force_failover", true),
        ] {
            assert_eq!(View::read(&state(flags), at(1)).unwrap(), view(1, 1, expected, 7), "{flags}");
        }
        let mut without = state("master");
        without.remove("flags");
        assert!(View::read(&without, at(1)).unwrap_err().to_string().contains("`flags`"));
    }

    proptest! {
        #[test]
        fn a_server_in_use_has_no_failover_and_no_successor(
            views in prop::collection::vec((0_u16..3, 0_u16..3, any::<bool>(), 0_u64..3), 1..6),
        ) {
            let views: Vec<_> = views.into_iter().map(|(named, watched, flag, epoch)| view(named, watched, flag, epoch)).collect();
            for server in 0..3 {
                if objections(&views, server).is_none() {
                    let supporters = views.iter().filter(|view| view.named == at(server)).map(|view| view.epoch).max();
                    for view in &views {
                        prop_assert!(!(view.is_failing_over && view.watched == at(server)));
                        prop_assert!(Some(view.epoch) <= supporters || view.named == at(server));
                    }
                }
            }
        }
    }
}
