//! Names of keys and channels in Redis.
//!
//! All start with the configured prefix and the hash tag of their partition: `<prefix>:{<tag>}:…`, so that a script may
//! use everything of a partition together on a Redis Cluster. Then follows `u:<user>:…`, `r:<room>:…`, or the name of
//! something that the partition has once. User-chosen text is encoded: it cannot start another key.

use std::fmt::{self, Write as _};

use redis::{RedisWrite, ToRedisArgs, ToSingleRedisArg};

use crate::{bus::Channel, ids::Incarnation, partition::Partition, presence::Scope, room_name::RoomName};

/// The names below one prefix.
#[derive(Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Hash: session → `<generation> <incarnation>`, with ` <record>` behind it if the client can be recovered.
    pub(crate) fn sessions(&self, user: &str) -> String {
        self.of_user(user, "sessions")
    }

    /// The user's sessions, and the keys of the user's log, in the order of its script's KEYS.
    ///
    /// `events`: stream of what is sent to the user · `events-head`: hash with its epoch and last number · `away`: see
    /// [`Keys::away`].
    pub(crate) fn user_log(&self, user: &str) -> [String; 4] {
        self.all_of_user(user, ["sessions", "events", "events-head", "away"])
    }

    /// The user's sessions, the keys of the inbox, and those of the user's log, in the order of the inbox's scripts'
    /// KEYS.
    ///
    /// `inbox`: sorted set of ids of notifications, all with the same score and so in the order of their text ·
    /// `unread`: set of ids · `notifications`: hash of id → `<time> <body>` · `deleted`: sorted set of recently deleted
    /// ids, by time of deletion.
    pub(crate) fn inbox(&self, user: &str) -> [String; 8] {
        self.all_of_user(
            user,
            ["sessions", "inbox", "unread", "notifications", "deleted", "events", "events-head", "away"],
        )
    }

    /// All keys of a user that a connect needs, in the order of its script's KEYS: those of [`Keys::inbox`], and the
    /// user's presence in the cluster as in [`Keys::stays`] and [`Keys::grace`].
    pub(crate) fn connect(&self, user: &str) -> [String; 10] {
        let [a, b, c, d, e, f, g, h] = self.inbox(user);
        let [online, leaving] = self.all_of_user(user, ["online", "leaving"]);
        [a, b, c, d, e, f, g, h, online, leaving]
    }

    /// String: exists while the user may come back to a record of an ended session.
    pub(crate) fn away(&self, user: &str) -> String {
        self.of_user(user, "away")
    }

    /// Beginning of the names of the user's records, hashes: see [`crate::recovery`].
    pub(crate) fn records(&self, user: &str) -> String {
        self.of_user(user, "record:")
    }

    /// String: how many sessions the event with this once-key was sent to.
    pub(crate) fn sent_to_user(&self, user: &str, once: &str) -> String {
        let mut key = self.of_user(user, "sent:");
        encode_into(&mut key, once);
        key
    }

    /// String: exists once the message with this once-key was published on this channel.
    pub(crate) fn published(&self, channel: &Channel, once: &str) -> String {
        format!("{}:published:{}", self.channel(channel), encode(once))
    }

    fn of_user(&self, user: &str, name: &str) -> String {
        let mut key = self.of(Partition::of(user), "u:");
        encode_into(&mut key, user);
        key.push(':');
        key.push_str(name);
        key
    }

    fn all_of_user<const N: usize>(&self, user: &str, names: [&str; N]) -> [String; N] {
        let mut prefix = self.of(Partition::of(user), "u:");
        encode_into(&mut prefix, user);
        names.map(|name| format!("{prefix}:{name}"))
    }

    /// The name of something in a partition.
    fn of(&self, partition: Partition, name: &str) -> String {
        let mut key = String::with_capacity(self.prefix.len() + name.len() + 64);
        key.push_str(&self.prefix);
        // Writing to a string cannot fail.
        let _ = write!(key, ":{{{}}}:", partition.tag());
        key.push_str(name);
        key
    }

    /// Sorted set: incarnations, by the end of their lease.
    pub(crate) fn leases(&self, home: Partition) -> String {
        self.of(home, "nodes:leases")
    }

    /// String: the term of the partition's server, see [`super::term`].
    pub(crate) fn term(&self, partition: Partition) -> String {
        self.of(partition, "term")
    }

    /// String: since when Redis has kept the data of this partition, in Unix microseconds.
    pub(crate) fn remembered_since(&self, partition: Partition) -> String {
        self.of(partition, "remembered")
    }

    /// Hash: incarnation → since when it has held its lease without a break.
    pub(crate) fn held_since(&self, home: Partition) -> String {
        self.of(home, "nodes:since")
    }

    /// Sorted set: dead incarnations that a survivor is cleaning up, by the time at which another may take over.
    pub(crate) fn reaping(&self, home: Partition) -> String {
        self.of(home, "nodes:reaping")
    }

    /// Hash: incarnation → its last report.
    pub(crate) fn reports(&self, home: Partition) -> String {
        self.of(home, "nodes:reports")
    }

    /// Hash: a node's tag → `<incarnation> <address>`.
    pub(crate) fn addresses(&self, home: Partition) -> String {
        self.of(home, "nodes:addresses")
    }

    /// Hash: incarnation → the end of its lease and its layout of servers: see [`crate::membership`]. The same name on every
    /// server, so that nodes find it that do not agree about the server's place.
    pub(crate) fn layouts(&self) -> String {
        self.of(Partition::FIRST, "nodes:layouts")
    }

    /// Sorted set of leases as versions before the partitions named it.
    pub(crate) fn leases_before_partitions(&self) -> String {
        format!("{}:{{nodes}}:leases", self.prefix)
    }

    /// String: the secret that all nodes share.
    pub(crate) fn secret(&self, home: Partition) -> String {
        self.of(home, "nodes:secret")
    }

    /// Set: `<session> - <user>` of every session, `<session> <room> <user>` of every stay that an incarnation holds in
    /// this partition.
    pub(crate) fn index(&self, partition: Partition, incarnation: &Incarnation) -> String {
        let mut key = self.of(partition, "holds:");
        key.push_str(incarnation.as_str());
        key
    }

    /// The names of a room's log.
    pub(crate) fn log(&self, room: &RoomName) -> LogKeys {
        LogKeys { room: self.room(room) }
    }

    /// Hash: the user's sessions in the scope → incarnation.
    pub(crate) fn stays(&self, scope: &Scope, user: &str) -> String {
        match scope {
            Scope::Cluster => self.of_user(user, "online"),
            Scope::Room(room) => format!("{}:in:{}", self.room(room), encode(user)),
        }
    }

    /// String: when to announce the user's departure from the scope, in Unix milliseconds; exists within the grace.
    pub(crate) fn grace(&self, scope: &Scope, user: &str) -> String {
        match scope {
            Scope::Cluster => self.of_user(user, "leaving"),
            Scope::Room(room) => format!("{}:leaving:{}", self.room(room), encode(user)),
        }
    }

    /// Hash: a room's members → profile.
    pub(crate) fn members(&self, room: &RoomName) -> String {
        format!("{}:members", self.room(room))
    }

    /// Sorted set: `<room, or -> <user>` of users within their grace, by its end.
    pub(crate) fn leaving(&self, partition: Partition) -> String {
        self.of(partition, "leaving")
    }

    /// The list of revocations, in the order of its scripts' KEYS.
    pub(crate) fn revocations(&self) -> [String; 4] {
        ["revoked:head", "revoked:entries", "revoked:order", "revoked:ends"].map(|name| self.of(Partition::FIRST, name))
    }

    /// Hash: an operation with an idempotency key, and its reply.
    pub(crate) fn once(&self, name: &str) -> String {
        let mut key = self.of(Partition::of(name), "once:");
        encode_into(&mut key, name);
        key
    }

    /// The log of a partition's facts, and its head.
    pub(crate) fn facts(&self, partition: Partition) -> [String; 2] {
        ["facts:log", "facts:head"].map(|name| self.of(partition, name))
    }

    /// String: the incarnation that delivers the partition's facts; expires with its lease.
    pub(crate) fn fact_lease(&self, partition: Partition) -> String {
        self.of(partition, "facts:lease")
    }

    /// The state of a hook in a partition. Hash: its progress · hash: id of a parked fact → the fact · list: dead facts.
    pub(crate) fn fact_hook(&self, partition: Partition, hook: &str) -> [String; 3] {
        let hook = encode(hook);
        ["hook", "parked", "dead"].map(|name| self.of(partition, &format!("facts:{name}:{hook}")))
    }

    /// Sorted set: incarnations that deliver facts, by the end of their lease.
    pub(crate) fn fact_deliverers(&self) -> String {
        self.of(Partition::FIRST, "facts:deliverers")
    }

    fn room(&self, room: &RoomName) -> String {
        let mut key = self.of(Partition::of_room(room), "r:");
        key.reserve(room.namespace.len() + room.name.len() + 16);
        encode_into(&mut key, &room.namespace);
        encode_into(&mut key, RoomName::SEPARATOR.encode_utf8(&mut [0; 4]));
        encode_into(&mut key, &room.name);
        key
    }

    /// The names of a channel, each with its partition: [`Channel::Node`] and [`Channel::Presence`] have one in each, on
    /// which scripts publish that use keys of the partition.
    pub(crate) fn channels(&self, channel: &Channel) -> Vec<(Partition, String)> {
        match channel {
            Channel::Node(_) | Channel::Presence => {
                Partition::all().map(|partition| (partition, self.channel_in(channel, partition))).collect()
            }
            _ => vec![(channel.partition(), self.channel(channel))],
        }
    }

    /// The name of a channel on which to publish from outside of scripts; it is in [`Channel::partition`].
    pub(crate) fn channel(&self, channel: &Channel) -> String {
        self.channel_in(channel, channel.partition())
    }

    fn channel_in(&self, channel: &Channel, partition: Partition) -> String {
        match channel {
            Channel::Namespace(name) => self.of(partition, &format!("ns:{name}")),
            Channel::Node(node) => format!("{}{node}", self.node_channels(partition)),
            Channel::Room(room) => self.log(room).channel().to_string(),
            Channel::Presence => self.of(partition, "presence"),
            Channel::Roster => self.of(partition, "roster"),
            Channel::Revocations => self.of(partition, "revoked"),
        }
    }

    /// The channel of the presence of users in this partition.
    pub(crate) fn presence(&self, partition: Partition) -> String {
        self.channel_in(&Channel::Presence, partition)
    }

    /// Pattern that matches the channels of a namespace's rooms.
    pub(crate) fn rooms_of(&self, namespace: &str) -> String {
        format!("{}:{{*}}:r:{}*:messages", self.prefix, encode(&format!("{namespace}#")))
    }

    /// Prefix of every node's channel in this partition; a script appends the node's id.
    pub(crate) fn node_channels(&self, partition: Partition) -> String {
        self.of(partition, "node:")
    }

    /// The channel in this partition on which a node receives its own probes.
    pub(crate) fn probe(&self, partition: Partition, node: &str) -> String {
        self.of(partition, &format!("probe:{node}"))
    }
}

/// The names of a room's log, all in one partition.
pub(crate) struct LogKeys {
    room: String,
}

/// A name that is written without a string of its own: `<room>:<kind>`.
#[derive(Clone, Copy)]
pub(crate) struct LogKey<'a> {
    room: &'a str,
    kind: &'static str,
}

impl LogKeys {
    /// Stream: the room's messages.
    pub(crate) fn messages(&self) -> LogKey<'_> {
        self.of("log")
    }

    /// Hash: the log's epoch, last number, and last number before the epoch.
    pub(crate) fn head(&self) -> LogKey<'_> {
        self.of("head")
    }

    /// The channel of the room.
    pub(crate) fn channel(&self) -> LogKey<'_> {
        self.of("messages")
    }

    /// String: the position of the message that was appended with this key.
    pub(crate) fn sent(&self, key: &str) -> String {
        format!("{}:sent:{}", self.room, encode(key))
    }

    fn of(&self, kind: &'static str) -> LogKey<'_> {
        LogKey { room: &self.room, kind }
    }
}

impl fmt::Display for LogKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.room, self.kind)
    }
}

impl ToRedisArgs for LogKey<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

impl ToSingleRedisArg for LogKey<'_> {}

/// Letters, digits, `-`, `_` and `.` stay; every other byte becomes `%` and two hex digits.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    encode_into(&mut out, text);
    out
}

fn encode_into(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |bits: u8| char::from(HEX[usize::from(bits)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The part of a name after the prefix and the tag, which must be that of the partition.
    fn after_tag(name: &str, partition: Partition) -> &str {
        assert_eq!(name.matches(['{', '}']).count(), 2, "{name}");
        name.strip_prefix(&format!("p:{{{}}}:", partition.tag())).unwrap()
    }

    proptest! {
        #[test]
        fn names_of_a_user_share_the_tag_and_users_differ(user in "\\PC{1,128}", other in "\\PC{1,128}") {
            let keys = Keys::new("p");
            let of = Partition::of(&user);
            let key = keys.sessions(&user);
            prop_assert_eq!(after_tag(&key, of).matches(':').count(), 2);
            prop_assert_eq!(user == other, key == keys.sessions(&other));
            let (inbox, log, connect) = (keys.inbox(&user), keys.user_log(&user), keys.connect(&user));
            prop_assert_eq!([&log[0], &inbox[0]], [&key; 2]);
            prop_assert_eq!(&log[1..], &inbox[5..]);
            prop_assert_eq!(&keys.away(&user), &log[3]);
            prop_assert_eq!(&connect[..8], &inbox[..]);
            let presence = [keys.stays(&Scope::Cluster, &user), keys.grace(&Scope::Cluster, &user)];
            prop_assert_eq!(&connect[8..], &presence[..]);
            let others = [keys.sent_to_user(&user, &other), keys.records(&user)];
            for name in connect.iter().chain(&others) {
                prop_assert!(after_tag(name, of).starts_with("u:"));
            }
        }

        #[test]
        fn names_of_a_room_share_the_tag_and_rooms_differ(names in prop::array::uniform2("\\PC{1,64}"), user in "\\PC{1,64}") {
            let keys = Keys::new("p");
            let [one, other] = names.each_ref().map(|name| RoomName { namespace: "/".into(), name: name.as_str().into() });
            let log = keys.log(&one);
            let scope = Scope::Room(one.clone());
            let all = [log.messages().to_string(), log.head().to_string(), log.channel().to_string(), log.sent("a:b}")];
            let presence = [keys.stays(&scope, &user), keys.grace(&scope, &user), keys.members(&one)];
            for name in all.iter().chain(&presence) {
                prop_assert!(after_tag(name, Partition::of_room(&one)).starts_with("r:"));
            }
            prop_assert_eq!(keys.channel(&Channel::Room(one.clone())), log.channel().to_string());
            prop_assert_eq!(names[0] == names[1], keys.room(&one) == keys.room(&other));
        }

        #[test]
        fn names_in_a_partition_have_its_tag(number in 0..crate::partition::PARTITIONS, text in "\\PC{1,64}") {
            let keys = Keys::new("p");
            let partition = Partition::new(number).unwrap();
            let facts = keys.facts(partition).into_iter().chain(keys.fact_hook(partition, &text));
            let one = [keys.leaving(partition), keys.remembered_since(partition), keys.fact_lease(partition)];
            for name in facts.chain(one).chain([keys.presence(partition), keys.node_channels(partition)]) {
                after_tag(&name, partition);
            }
            after_tag(&keys.once(&text), Partition::of(&text));
            let namespace = Channel::Namespace("/chat".into());
            after_tag(&keys.published(&namespace, &text), namespace.partition());
            for channel in [Channel::Node("n1".into()), Channel::Presence, Channel::Roster, namespace] {
                for (partition, name) in keys.channels(&channel) {
                    after_tag(&name, partition);
                }
                after_tag(&keys.channel(&channel), channel.partition());
            }
        }
    }
}
