//! [`crate::sessions`] over Redis: a hash per user, and scripts that change it atomically.

use std::sync::{Arc, LazyLock};

use redis::{Pipeline, Script};

use crate::{
    Unavailable,
    ids::{Incarnation, SessionId, SessionRef},
    redis::link::{RedisLink, ScriptCall},
    sessions::{ByNode, Directive, HeldSession, Live, Policy},
    wire::envelope,
    wire::message::{END, TO_SESSIONS},
};

static RESTORE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("common.lua"), include_str!("restore.lua"))));
static SEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("send.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("release.lua")));

/// Calls of a script in one round trip.
const BATCH: usize = 256;
/// Up to this many users, one script call per user is the cheapest way to send.
const FEW: usize = 2;
/// Users in one batch: one round trip reads their sessions, another sends to them.
const SEND_BATCH: usize = 1_000;

/// All users' sessions.
#[derive(Clone)]
pub struct RedisSessions {
    link: Arc<RedisLink>,
}

impl RedisSessions {
    pub(crate) fn new(link: Arc<RedisLink>) -> Self {
        Self { link }
    }

    pub(crate) async fn release(&self, sessions: &[SessionRef], by: &Incarnation) -> Result<(), Unavailable> {
        for batch in sessions.chunks(BATCH) {
            let calls = batch.iter().map(|SessionRef { user, session }| ScriptCall {
                keys: vec![self.link.keys.sessions(user)],
                arguments: vec![session.to_string(), by.to_string()],
            });
            let _: Vec<i64> = self.link.script_each(&RELEASE, calls).await?;
        }
        Ok(())
    }

    pub(crate) async fn restore(
        &self,
        held: &[HeldSession],
        by: &Incarnation,
        policy: Policy,
    ) -> Result<Vec<SessionId>, Unavailable> {
        let mut lost = Vec::new();
        for batch in held.chunks(BATCH) {
            let calls = batch.iter().map(|HeldSession { session, generation }| ScriptCall {
                keys: vec![self.link.keys.sessions(&session.user)],
                arguments: vec![
                    session.session.to_string(),
                    by.to_string(),
                    policy.limit.to_string(),
                    self.link.keys.node_channels(),
                    generation.to_string(),
                ],
            });
            let kept: Vec<bool> = self.link.script_each(&RESTORE, calls).await?;
            let losers = batch.iter().zip(kept).filter(|(_, kept)| !kept);
            lost.extend(losers.map(|(held, _)| held.session.session.clone()));
        }
        Ok(lost)
    }

    pub(crate) async fn send(
        &self,
        users: &[Arc<str>],
        directive: &Directive,
        except: Option<&SessionId>,
    ) -> Result<Vec<usize>, Unavailable> {
        let keys = &self.link.keys;
        let mut counts = Vec::with_capacity(users.len());
        if users.len() <= FEW {
            let (kind, rest) = match directive {
                Directive::Event(event) => (TO_SESSIONS, &event[..]),
                Directive::End(reason) => (END, reason.as_bytes()),
            };
            let prefix = envelope::prefix();
            for user in users {
                let mut call = SEND.prepare_invoke();
                call.key(keys.sessions(user)).arg(keys.node_channels()).arg(except.map_or("", SessionId::as_str));
                counts.push(self.link.script(call.arg(&[kind]).arg(rest).arg(prefix.as_ref())).await?);
            }
            return Ok(counts);
        }
        for batch in users.chunks(SEND_BATCH) {
            let mut by_node = ByNode::default();
            counts.extend(self.of(batch).await?.iter().map(|live| by_node.add(live, except)));
            let mut pipeline = Pipeline::new();
            for (channel, message) in by_node.messages(|sessions| directive.message(sessions)) {
                pipeline.cmd("PUBLISH").arg(keys.channel(&channel)).arg(envelope::enclose(message).as_ref()).ignore();
            }
            // If no user has a session, the pipeline is empty, which would be an error.
            if !pipeline.is_empty() {
                self.link.bulk::<()>(&pipeline).await?;
            }
        }
        Ok(counts)
    }

    pub(crate) async fn of(&self, users: &[Arc<str>]) -> Result<Vec<Vec<Live>>, Unavailable> {
        if let [user] = users {
            // A single user is one request's query, which must not wait for a pool connection.
            let entries: Vec<(String, String)> =
                self.link.command(redis::cmd("HGETALL").arg(self.link.keys.sessions(user))).await?;
            return Ok(vec![in_order(&entries)]);
        }
        let mut found = Vec::with_capacity(users.len());
        for batch in users.chunks(SEND_BATCH) {
            let mut pipeline = Pipeline::new();
            for user in batch {
                pipeline.cmd("HGETALL").arg(self.link.keys.sessions(user));
            }
            let entries: Vec<Vec<(String, String)>> = self.link.bulk(&pipeline).await?;
            found.extend(entries.iter().map(|entries| in_order(entries)));
        }
        Ok(found)
    }
}

/// A user's sessions, oldest first.
fn in_order(entries: &[(String, String)]) -> Vec<Live> {
    let mut live: Vec<Live> = entries
        .iter()
        .filter_map(|(session, entry)| {
            let (generation, holder) = entry.split_once(' ')?;
            let generation = generation.parse().ok()?;
            Some(Live { session: session.as_str().into(), generation, holder: holder.into() })
        })
        .collect();
    live.sort_unstable_by_key(|live| live.generation);
    live
}
