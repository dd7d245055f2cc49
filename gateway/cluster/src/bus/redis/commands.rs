//! The commands of subscriptions. On a Redis Cluster a command may only have channels of one slot.

use std::sync::Arc;

use redis::{Cmd, cmd};

use crate::partition::Partition;

/// Channels in one command.
pub(super) const BATCH: usize = 512;

/// How a server's channels are published on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everywhere: PUBLISH.
    Plain,
    /// Within a shard of a Redis Cluster: SPUBLISH.
    Sharded,
}

impl Kind {
    pub(super) fn of(is_cluster: bool) -> Self {
        if is_cluster { Self::Sharded } else { Self::Plain }
    }

    /// A message.
    pub(super) fn publish(self) -> Cmd {
        cmd(match self {
            Self::Plain => "PUBLISH",
            Self::Sharded => "SPUBLISH",
        })
    }

    /// A script that counts the channels that match any of its arguments. A room has one channel.
    pub(super) fn count_script(self) -> &'static str {
        match self {
            Self::Plain => {
                "local n = 0 for _, p in ipairs(ARGV) do n = n + #redis.call('PUBSUB', 'CHANNELS', p) end return n"
            }
            Self::Sharded => {
                "local n = 0 for _, p in ipairs(ARGV) do n = n + #redis.call('PUBSUB', 'SHARDCHANNELS', p) end return n"
            }
        }
    }

    /// Subscribes to these channels.
    pub(super) fn subscribe(self, names: Vec<(Partition, Arc<str>)>) -> Vec<Cmd> {
        match self {
            Self::Plain => batches("SUBSCRIBE", names, |_| 0),
            Self::Sharded => batches("SSUBSCRIBE", names, |partition| partition.number()),
        }
    }

    /// Unsubscribes from these channels.
    pub(super) fn unsubscribe(self, names: Vec<(Partition, Arc<str>)>) -> Vec<Cmd> {
        match self {
            Self::Plain => batches("UNSUBSCRIBE", names, |_| 0),
            Self::Sharded => batches("SUNSUBSCRIBE", names, |partition| partition.number()),
        }
    }
}

/// Commands with at most [`BATCH`] channels each, which all have the same `slot`.
fn batches(command: &str, mut names: Vec<(Partition, Arc<str>)>, slot: impl Fn(Partition) -> u8) -> Vec<Cmd> {
    names.sort_by_key(|(partition, _)| slot(*partition));
    let of_one_slot = names.chunk_by(|(one, _), (other, _)| slot(*one) == slot(*other));
    let batches = of_one_slot.flat_map(|names| names.chunks(BATCH));
    let with_names = |names: &[(Partition, Arc<str>)]| {
        let mut command = cmd(command);
        for (_, name) in names {
            command.arg(&**name);
        }
        command
    };
    batches.map(with_names).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_command_has_channels_of_one_slot(partitions in prop::collection::vec(0_u8..5, 0..2_000)) {
            let named = |(n, number): (usize, &u8)| (Partition::new(*number).unwrap(), Arc::from(format!("{number}-{n}")));
            let names: Vec<(Partition, Arc<str>)> = partitions.iter().enumerate().map(named).collect();
            for (kind, word) in [(Kind::Plain, "SUBSCRIBE"), (Kind::Sharded, "SSUBSCRIBE")] {
                let commands = kind.subscribe(names.clone());
                let mut sent = Vec::new();
                for command in &commands {
                    let words: Vec<_> = command.args_iter().map(|arg| match arg {
                        redis::Arg::Simple(text) => String::from_utf8(text.to_vec()).unwrap(),
                        _ => unreachable!(),
                    }).collect();
                    prop_assert_eq!(&words[0], word);
                    prop_assert!((1..=BATCH).contains(&(words.len() - 1)));
                    let slot = |name: &String| name.split('-').next().map(str::to_owned);
                    prop_assert!(kind == Kind::Plain || words[1..].iter().all(|name| slot(name) == slot(&words[1])));
                    sent.extend_from_slice(&words[1..]);
                }
                sent.sort_unstable();
                let mut expected: Vec<_> = names.iter().map(|(_, name)| name.to_string()).collect();
                expected.sort_unstable();
                prop_assert_eq!(sent, expected);
            }
        }
    }
}
