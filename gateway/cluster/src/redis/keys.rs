//! Names of keys and channels in Redis.
//!
//! All start with the configured prefix. Every key of one user shares one hash tag, so that a script may touch them
//! together on Redis Cluster. User-chosen text in a key is encoded: it can neither end a tag nor start another key.

use std::fmt;

use redis::{RedisWrite, ToRedisArgs, ToSingleRedisArg};

use crate::{bus::Channel, facts::Partition, ids::Incarnation, presence::Scope, room_name::RoomName};

/// The names below one prefix.
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Hash: session → `<generation> <incarnation>`, with ` <record>` behind it if the client can be recovered.
    pub(crate) fn sessions(&self, user: &str) -> String {
        format!("{}:{{{}}}:sessions", self.prefix, encode(user))
    }

    /// The user's sessions, and the keys of the user's log, in the order of its script's KEYS.
    ///
    /// `events`: stream of what is sent to the user · `events-head`: hash with its epoch and last number · `away`: see
    /// [`Keys::away`].
    pub(crate) fn user_log(&self, user: &str) -> [String; 4] {
        self.of_user(user, ["sessions", "events", "events-head", "away"])
    }

    /// The user's sessions, the keys of the inbox, and those of the user's log, in the order of the inbox's scripts'
    /// KEYS.
    ///
    /// `inbox`: sorted set of ids of notifications, all with the same score and so in the order of their text ·
    /// `unread`: set of ids · `notifications`: hash of id → `<time> <body>` · `deleted`: sorted set of recently deleted
    /// ids, by time of deletion.
    pub(crate) fn inbox(&self, user: &str) -> [String; 8] {
        self.of_user(user, ["sessions", "inbox", "unread", "notifications", "deleted", "events", "events-head", "away"])
    }

    /// All keys of a connect, in the order of its script's KEYS: those of [`Keys::inbox`], and the user's presence in
    /// the cluster as in [`Keys::stays`] and [`Keys::grace`].
    pub(crate) fn connect(&self, user: &str) -> [String; 10] {
        let [a, b, c, d, e, f, g, h] = self.inbox(user);
        let [online, leaving] = self.of_user(user, ["online", "leaving"]);
        [a, b, c, d, e, f, g, h, online, leaving]
    }

    /// String: exists while the user may come back to a record of an ended session.
    pub(crate) fn away(&self, user: &str) -> String {
        let [away] = self.of_user(user, ["away"]);
        away
    }

    /// Beginning of the names of the user's records, hashes: see [`crate::recovery`].
    pub(crate) fn records(&self, user: &str) -> String {
        let [records] = self.of_user(user, ["record:"]);
        records
    }

    /// String: how many sessions the event with this once-key was sent to.
    pub(crate) fn sent_to_user(&self, user: &str, once: &str) -> String {
        format!("{}:{{{}}}:sent:{}", self.prefix, encode(user), encode(once))
    }

    /// String: exists once the message with this once-key was published.
    pub(crate) fn published(&self, once: &str) -> String {
        format!("{}:published:{}", self.prefix, encode(once))
    }

    fn of_user<const N: usize>(&self, user: &str, names: [&str; N]) -> [String; N] {
        let user = format!("{}:{{{}}}", self.prefix, encode(user));
        names.map(|name| format!("{user}:{name}"))
    }

    /// Sorted set: incarnations, by the end of their lease.
    pub(crate) fn leases(&self) -> String {
        format!("{}:{{nodes}}:leases", self.prefix)
    }

    /// String: since when Redis has kept its data, in Unix microseconds.
    pub(crate) fn remembered_since(&self) -> String {
        format!("{}:{{nodes}}:remembered", self.prefix)
    }

    /// Hash: incarnation → since when it has held its lease without a break.
    pub(crate) fn held_since(&self) -> String {
        format!("{}:{{nodes}}:since", self.prefix)
    }

    /// Sorted set: dead incarnations that a survivor is cleaning up, by the time at which another may take over.
    pub(crate) fn reaping(&self) -> String {
        format!("{}:{{nodes}}:reaping", self.prefix)
    }

    /// Hash: incarnation → its last report.
    pub(crate) fn reports(&self) -> String {
        format!("{}:{{nodes}}:reports", self.prefix)
    }

    /// Hash: a node's tag → `<incarnation> <address>`.
    pub(crate) fn addresses(&self) -> String {
        format!("{}:{{nodes}}:addresses", self.prefix)
    }

    /// String: the secret that all nodes share.
    pub(crate) fn secret(&self) -> String {
        format!("{}:{{nodes}}:secret", self.prefix)
    }

    /// Set: `<session> - <user>` of every session, `<session> <room> <user>` of every stay that an incarnation holds.
    pub(crate) fn index(&self, incarnation: &Incarnation) -> String {
        format!("{}:holds:{incarnation}", self.prefix)
    }

    /// The names of a room's log.
    pub(crate) fn log(&self, room: &RoomName) -> LogKeys {
        LogKeys { room: self.room(room) }
    }

    /// Hash: the user's sessions in the scope → incarnation.
    pub(crate) fn stays(&self, scope: &Scope, user: &str) -> String {
        match scope {
            Scope::Cluster => format!("{}:{{{}}}:online", self.prefix, encode(user)),
            Scope::Room(room) => format!("{}:in:{}", self.room(room), encode(user)),
        }
    }

    /// String: when to announce the user's departure from the scope, in Unix milliseconds; exists within the grace.
    pub(crate) fn grace(&self, scope: &Scope, user: &str) -> String {
        match scope {
            Scope::Cluster => format!("{}:{{{}}}:leaving", self.prefix, encode(user)),
            Scope::Room(room) => format!("{}:leaving:{}", self.room(room), encode(user)),
        }
    }

    /// Hash: a room's members → profile.
    pub(crate) fn members(&self, room: &RoomName) -> String {
        format!("{}:members", self.room(room))
    }

    /// Sorted set: `<room, or -> <user>` of users within their grace, by its end.
    pub(crate) fn leaving(&self) -> String {
        format!("{}:leaving", self.prefix)
    }

    /// The list of revocations, in the order of its scripts' KEYS.
    pub(crate) fn revocations(&self) -> [String; 4] {
        ["head", "entries", "order", "ends"].map(|name| format!("{}:{{revoked}}:{name}", self.prefix))
    }

    /// Hash: an operation with an idempotency key, and its reply.
    pub(crate) fn once(&self, name: &str) -> String {
        format!("{}:once:{}", self.prefix, encode(name))
    }

    /// The partition of the facts about a user.
    pub(crate) fn partition_of_user(&self, user: &str) -> Partition {
        Partition::of(&encode(user))
    }

    /// The partition of the facts about a room.
    pub(crate) fn partition_of_room(&self, room: &RoomName) -> Partition {
        Partition::of(&format!("room:{}", encode(&room.to_string())))
    }

    /// The log of a partition's facts, and its head.
    pub(crate) fn facts(&self, partition: Partition) -> [String; 2] {
        ["log", "head"].map(|name| self.of_partition(partition, name))
    }

    /// String: the incarnation that delivers the partition's facts; expires with its lease.
    pub(crate) fn fact_lease(&self, partition: Partition) -> String {
        self.of_partition(partition, "lease")
    }

    /// The state of a hook in a partition. Hash: its progress · hash: id of a parked fact → the fact · list: dead facts.
    pub(crate) fn fact_hook(&self, partition: Partition, hook: &str) -> [String; 3] {
        ["hook", "parked", "dead"].map(|name| self.of_partition(partition, &format!("{name}:{}", encode(hook))))
    }

    /// Sorted set: incarnations that deliver facts, by the end of their lease.
    pub(crate) fn fact_deliverers(&self) -> String {
        format!("{}:{{facts}}:deliverers", self.prefix)
    }

    fn of_partition(&self, partition: Partition, name: &str) -> String {
        format!("{}:{{facts:{}}}:{name}", self.prefix, partition.number())
    }

    fn room(&self, room: &RoomName) -> String {
        let mut key = String::with_capacity(self.prefix.len() + room.namespace.len() + room.name.len() + 32);
        key.push_str(&self.prefix);
        key.push_str(":{room:");
        encode_into(&mut key, &room.namespace);
        encode_into(&mut key, RoomName::SEPARATOR.encode_utf8(&mut [0; 4]));
        encode_into(&mut key, &room.name);
        key.push('}');
        key
    }

    pub(crate) fn channel(&self, channel: &Channel) -> String {
        match channel {
            Channel::Namespace(name) => format!("{}:ns:{name}", self.prefix),
            Channel::Node(node) => format!("{}{node}", self.node_channels()),
            Channel::Room(room) => self.log(room).channel().to_string(),
            Channel::Presence => format!("{}:presence", self.prefix),
            Channel::Roster => format!("{}:roster", self.prefix),
            Channel::Revocations => format!("{}:revoked", self.prefix),
        }
    }

    /// Pattern that matches the channels of a namespace's rooms.
    pub(crate) fn rooms_of(&self, namespace: &str) -> String {
        format!("{}:{{room:{}*}}:messages", self.prefix, encode(&format!("{namespace}#")))
    }

    /// Prefix of every node's channel; a script appends the node's id.
    pub(crate) fn node_channels(&self) -> String {
        format!("{}:node:", self.prefix)
    }

    /// The channel on which a node receives its own probes.
    pub(crate) fn probe(&self, node: &str) -> String {
        format!("{}:probe:{node}", self.prefix)
    }
}

/// The names of a room's log, all in one slot.
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

    proptest! {
        #[test]
        fn a_user_never_leaves_the_tag(user in "\\PC{1,128}", other in "\\PC{1,128}") {
            let keys = Keys::new("p");
            let key = keys.sessions(&user);
            prop_assert_eq!(key.matches(['{', '}']).count(), 2);
            prop_assert_eq!(key.matches(':').count(), 2);
            prop_assert_eq!(user == other, key == keys.sessions(&other));
            let (inbox, log) = (keys.inbox(&user), keys.user_log(&user));
            prop_assert_eq!([&log[0], &inbox[0]], [&key; 2]);
            prop_assert_eq!(&log[1..], &inbox[5..]);
            prop_assert_eq!(&keys.away(&user), &log[3]);
            let sent = keys.sent_to_user(&user, &other);
            let in_tag = sent.starts_with(key.trim_end_matches("sessions")) && sent.matches(['{', '}']).count() == 2;
            prop_assert!(in_tag);
            let connect = keys.connect(&user);
            prop_assert_eq!(&connect[..8], &inbox[..]);
            let presence = [keys.stays(&Scope::Cluster, &user), keys.grace(&Scope::Cluster, &user)];
            prop_assert_eq!(&connect[8..], &presence[..]);
        }

        #[test]
        fn the_keys_of_a_room_share_its_tag_and_rooms_differ(names in prop::array::uniform2("\\PC{1,64}")) {
            let keys = Keys::new("p");
            let [one, other] = names.each_ref().map(|name| RoomName { namespace: "/".into(), name: name.as_str().into() });
            let log = keys.log(&one);
            let tag = format!("p:{{room:{}}}", encode(&one.to_string()));
            let all = [log.messages().to_string(), log.head().to_string(), log.channel().to_string(), log.sent("a:b}")];
            let in_tag = |key: &String| key.starts_with(&tag) && key.matches(['{', '}']).count() == 2;
            prop_assert!(all.iter().all(in_tag));
            prop_assert_eq!(keys.channel(&Channel::Room(one)), log.channel().to_string());
            prop_assert_eq!(names[0] == names[1], tag == keys.room(&other));
        }
    }
}
