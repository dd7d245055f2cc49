//! Scripts, and calls of them.
//!
//! A script publishes on channels of its own partition. Its source says PUBLISH; on a Redis Cluster, where that would
//! reach every server, it says SPUBLISH, so that a message stays within the shard.

use redis::{Cmd, Script, ToRedisArgs};

/// A script's source for both.
pub(crate) struct Source {
    plain: Script,
    sharded: Script,
}

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        let sharded = text.replace("redis.call('PUBLISH'", "redis.call('SPUBLISH'");
        Self { plain: Script::new(text), sharded: Script::new(&sharded) }
    }

    /// The script for servers that are shards of a Redis Cluster, or for others.
    pub(crate) fn script(&self, sharded: bool) -> &Script {
        if sharded { &self.sharded } else { &self.plain }
    }
}

/// One call of a script: keys first, then arguments.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    pub(crate) script: &'a Script,
    pub(crate) command: Cmd,
}

impl<'a> Call<'a> {
    /// A call with this many keys, and keys and arguments of about `bytes` in all.
    pub(crate) fn new(script: &'a Script, keys: usize, arguments: usize, bytes: usize) -> Self {
        let mut command = Cmd::with_capacity(3 + keys + arguments, bytes + 64);
        command.arg("EVALSHA").arg(script.get_hash()).arg(keys);
        Self { script, command }
    }

    /// Adds the next key or argument, or several.
    pub(crate) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.command.arg(argument);
        self
    }
}

/// Keys and arguments of one of many calls of a script: see [`crate::redis::link::RedisLink::each`].
pub(crate) struct ScriptCall<A = String> {
    pub(crate) keys: Vec<String>,
    pub(crate) arguments: Vec<A>,
}

/// A script of these files, one after the other.
macro_rules! script {
    ($($file:literal),+ $(,)?) => {
        std::sync::LazyLock::new(|| $crate::redis::script::Source::new(concat!($(include_str!($file)),+)))
    };
}
pub(crate) use script;
