//! [`crate::sessions`] over Redis: a hash per user, and scripts that change it atomically.

use std::sync::{Arc, LazyLock};

use redis::{Pipeline, Script, Value};

use crate::{
    Unavailable,
    ids::{Incarnation, SessionId, SessionRef},
    redis::link::{RedisLink, ScriptCall},
    sessions::{ByNode, Claimed, Directive, HeldSession, Live, OnConflict, Policy},
    wire::envelope,
    wire::message::{END, TO_SESSIONS},
};

static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim.lua")));
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

    pub(crate) async fn claim(
        &self,
        session: &SessionRef,
        by: &Incarnation,
        policy: Policy,
        dead: &[Incarnation],
    ) -> Result<Claimed, Unavailable> {
        let ScriptCall { keys, arguments } = self.call(session, by, policy, None);
        let mut call = CLAIM.prepare_invoke();
        call.key(keys).arg(arguments);
        for incarnation in dead {
            call.arg(incarnation.as_str());
        }
        granted_or_refused(self.link.script(&call).await?).ok_or(Unavailable)
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
            let calls = batch.iter().map(|held| self.call(&held.session, by, policy, Some(held.generation)));
            let answers: Vec<Vec<Value>> = self.link.script_each(&CLAIM, calls).await?;
            let sessions = batch.iter().map(|held| &held.session.session);
            let losers = sessions.zip(answers).filter(|(_, answer)| matches!(answer.first(), Some(Value::Int(2))));
            lost.extend(losers.map(|(session, _)| session.clone()));
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

    fn call(&self, session: &SessionRef, by: &Incarnation, policy: Policy, generation: Option<u64>) -> ScriptCall {
        let mode = match policy.on_conflict {
            OnConflict::Evict => "evict",
            OnConflict::Reject => "reject",
        };
        ScriptCall {
            keys: vec![self.link.keys.sessions(&session.user)],
            arguments: vec![
                session.session.to_string(),
                by.to_string(),
                policy.limit.to_string(),
                mode.to_owned(),
                self.link.keys.node_channels(),
                generation.map(|generation| generation.to_string()).unwrap_or_default(),
            ],
        }
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

fn granted_or_refused(answer: Vec<Value>) -> Option<Claimed> {
    let mut parts = answer.into_iter();
    match parts.next()? {
        Value::Int(1) => {
            let generation = redis::from_redis_value::<u64>(parts.next()?).ok()?;
            Some(Claimed::Granted { generation })
        }
        Value::Int(0) => {
            let holders = parts.filter_map(|holder| redis::from_redis_value::<String>(holder).ok());
            Some(Claimed::Refused { holders: holders.map(|holder| holder.as_str().into()).collect() })
        }
        _ => None,
    }
}
