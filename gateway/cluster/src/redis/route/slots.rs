//! The answers of a Redis Cluster about its slots: the map, and those that lead elsewhere. Without I/O.

use std::{ops::RangeInclusive, sync::Arc};

use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, from_redis_value};

use crate::redis::target::Address;

/// The most ranges of slots that are read.
const RANGES: usize = 16_384;

/// The masters of all slots, as one node knows them.
#[derive(Default)]
pub(super) struct SlotMap(Vec<(RangeInclusive<u16>, Address)>);

/// An answer that says that the command was not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// The slot is there.
    Moved(Address),
    /// The slot is being moved; the key may be there: ask with ASKING.
    Ask(Address),
    /// Not now: keys of the slot are on two nodes, or its master is away, loads data, or is no master yet.
    Again,
}

impl SlotMap {
    /// The answer to CLUSTER SLOTS. A node that does not know its own name means the host at which it was asked.
    pub(super) fn read(answer: Value, asked: &str) -> RedisResult<Self> {
        let ranges: Vec<Vec<Value>> = from_redis_value(answer)?;
        let read = |range: Vec<Value>| {
            let mut fields = range.into_iter();
            let mut next = || fields.next().unwrap_or(Value::Nil);
            let (first, last): (u16, u16) = (from_redis_value(next())?, from_redis_value(next())?);
            Ok((first..=last, master(next(), asked)?))
        };
        Ok(Self(ranges.into_iter().take(RANGES).map(read).collect::<RedisResult<_>>()?))
    }

    /// The master of a slot, if it has one.
    pub(super) fn of(&self, slot: u16) -> Option<&Address> {
        self.0.iter().find(|(slots, _)| slots.contains(&slot)).map(|(_, address)| address)
    }
}

/// Host or address, port, id, and from 7.0 on more names.
fn master(node: Value, asked: &str) -> RedisResult<Address> {
    let mut fields = Vec::<Value>::into_iter(from_redis_value(node)?);
    let host: Option<String> = from_redis_value(fields.next().unwrap_or(Value::Nil))?;
    let port: u16 = from_redis_value(fields.next().unwrap_or(Value::Nil))?;
    // `?` is a node without the name that the Cluster prefers; then its address is among the other names.
    let mut other = || {
        let names: Vec<String> = fields.nth(1).and_then(|names| from_redis_value(names).ok()).unwrap_or_default();
        names.chunks_exact(2).find(|pair| pair[0] == "ip").map(|pair| pair[1].clone())
    };
    let host = match host.as_deref() {
        None | Some("") => None,
        Some("?") => other(),
        Some(host) => Some(host.to_owned()),
    };
    Ok(Address::Tcp { host: host.map_or_else(|| Arc::from(asked), Arc::from), port })
}

impl Redirect {
    /// `None` for an error that says something else, or that leaves open whether the command was run.
    pub(super) fn of(error: &RedisError, asked: &str) -> Option<Self> {
        let ErrorKind::Server(kind) = error.kind() else { return None };
        let address = || {
            let (address, _) = error.redirect_node()?;
            let (host, port) = address.rsplit_once(':')?;
            let host = if host.is_empty() { asked } else { host };
            Some(Address::Tcp { host: host.into(), port: port.parse().ok()? })
        };
        match kind {
            ServerErrorKind::Moved => address().map(Self::Moved),
            ServerErrorKind::Ask => address().map(Self::Ask),
            ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown => Some(Self::Again),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64, names: &[&str]) -> Value {
        let names = names.iter().map(|name| text(name)).collect();
        Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(names)])
    }

    fn range(first: i64, last: i64, master: Value) -> Value {
        Value::Array(vec![Value::Int(first), Value::Int(last), master, node(text("replica"), 1, &[])])
    }

    fn at(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    fn error(line: &str) -> RedisError {
        redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap().extract_error().unwrap_err()
    }

    #[test]
    fn the_masters_of_slots() {
        let answer = Value::Array(vec![
            range(0, 99, node(text("10.0.0.1"), 7_000, &[])),
            range(100, 199, node(Value::Nil, 7_001, &[])),
            range(200, 299, node(text(""), 7_002, &[])),
            range(400, 499, node(text("?"), 7_003, &["ip", "10.0.0.4"])),
            range(500, 599, node(text("?"), 7_004, &[])),
            range(600, 600, node(text("redis.example"), 7_005, &["ip", "10.0.0.6"])),
        ]);
        let map = SlotMap::read(answer, "asked").unwrap();
        for (slot, expected) in [
            (0, Some(at("10.0.0.1", 7_000))),
            (99, Some(at("10.0.0.1", 7_000))),
            (100, Some(at("asked", 7_001))),
            (299, Some(at("asked", 7_002))),
            (300, None),
            (450, Some(at("10.0.0.4", 7_003))),
            (500, Some(at("asked", 7_004))),
            (600, Some(at("redis.example", 7_005))),
            (16_383, None),
        ] {
            assert!(map.of(slot) == expected.as_ref(), "{slot}");
        }
        assert!(SlotMap::read(Value::Okay, "asked").is_err());
        assert!(SlotMap::read(Value::Array(vec![Value::Array(vec![Value::Int(1)])]), "asked").is_err());
    }

    #[test]
    fn only_errors_of_a_command_that_was_not_run_lead_elsewhere() {
        let of = |line: &str| Redirect::of(&error(line), "asked");
        assert_eq!(of("MOVED 3999 127.0.0.1:6381"), Some(Redirect::Moved(at("127.0.0.1", 6_381))));
        assert_eq!(of("MOVED 3999 ::1:6381"), Some(Redirect::Moved(at("::1", 6_381))));
        assert_eq!(of("ASK 3999 :6381"), Some(Redirect::Ask(at("asked", 6_381))));
        for again in ["TRYAGAIN Multiple keys", "CLUSTERDOWN The cluster is down", "LOADING x", "MASTERDOWN x"] {
            assert_eq!(of(again), Some(Redirect::Again), "{again}");
        }
        for other in ["ERR x", "MOVED", "MOVED 1 nowhere", "READONLY x", "NOSCRIPT x", "CROSSSLOT x", "OOM x"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(Redirect::of(&std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(), "asked"), None);
    }

    proptest! {
        #[test]
        fn every_slot_of_every_range_is_found(cuts in proptest::collection::btree_set(1_u16..16_384, 0..20)) {
            let starts: Vec<u16> = std::iter::once(0).chain(cuts).collect();
            let ends = starts.iter().skip(1).map(|start| start - 1).chain([16_383]);
            let ranges = starts.iter().zip(ends).map(|(first, last)| {
                range((*first).into(), last.into(), node(text("a"), i64::from(*first), &[]))
            });
            let map = SlotMap::read(Value::Array(ranges.collect()), "asked").unwrap();
            for slot in 0..16_384 {
                let first = starts.iter().rfind(|start| **start <= slot).copied().unwrap();
                prop_assert!(map.of(slot) == Some(&at("a", first)));
            }
        }
    }
}
