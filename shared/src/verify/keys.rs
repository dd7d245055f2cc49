//! The current keys of one issuer, and when they are loaded again.
//!
//! Guarantees: the last good key set stays in use while the issuer is away. A token with a known `kid` never waits. A
//! token with an unknown `kid` has the set loaded again, single-flight and at most once per [`COOLDOWN`]. It is invalid
//! only if a set that arrived after it lacks its key. If the issuer does not answer, or the cooldown lasts, its keys
//! are unavailable, which is temporary: the client comes back. So tokens with random `kid`s cost the issuer no more
//! than one request per cooldown, and keep no user with a new key away for longer than that. [`Keys::keep_fresh`]
//! finishes a load that began, even if all connections that wait for it close.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use jsonwebtoken::{Algorithm, jwk::JwkSet};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    TokenError,
    remembered::Remembered,
    source::{KeySource, Load, Remote},
};
use crate::{
    claims::Mark,
    jwks::{FetchError, KeySet},
    time::now,
};

/// How often the key set is loaded again, so that the next key is known before it signs.
pub(super) const REFRESH: Duration = Duration::from_secs(300);
/// Between the last load and one that a token with an unknown `kid` causes.
pub(super) const COOLDOWN: Duration = Duration::from_secs(10);
/// Pauses between attempts while there are no keys: the first, and the longest of those that follow.
pub(super) const RETRY_WITHOUT_KEYS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// The longest time that a load may take.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Most absent `kid`s that are kept.
const MAX_ABSENT: usize = 64;

/// See the module.
pub(super) struct Keys {
    /// The issuer's name, for logs.
    issuer: String,
    /// The issuer's allow-list.
    algorithms: Vec<Algorithm>,
    origin: Origin,
    current: ArcSwap<Current>,
    loads: parking_lot::Mutex<Loads>,
    /// Wakes [`Keys::keep_fresh`] when a load began.
    began: Notify,
}

enum Origin {
    Secret,
    Local(watch::Receiver<JwkSet>),
    Outside(Arc<dyn Load>),
}

/// The keys of one moment, and what was verified with them.
#[derive(Default)]
pub(super) struct Current {
    pub(super) set: KeySet,
    /// The set as it was published, to notice a change.
    published: Option<JwkSet>,
    pub(super) remembered: parking_lot::Mutex<Remembered>,
}

/// Whether a set was loaded.
type Loading = Shared<BoxFuture<'static, bool>>;

#[derive(Default)]
struct Loads {
    running: Option<Loading>,
    /// When the last load began.
    began_at: Option<Instant>,
    /// Whether any load has ended, well or not.
    tried: bool,
    /// `kid`s that the last loaded set lacks, although it was loaded for them. Without them, all clients whose key is
    /// gone would come back again and again, because few of them come at the right moment for a load.
    absent: VecDeque<Mark>,
}

impl Keys {
    pub(super) fn new(
        issuer: String,
        source: KeySource,
        algorithms: Vec<Algorithm>,
        http: &reqwest::Client,
    ) -> Arc<Self> {
        match source {
            KeySource::Secret(secret) => {
                let current = Current { set: KeySet::from_secret(secret.as_bytes()), ..Current::default() };
                Self::of(issuer, algorithms, Origin::Secret, current)
            }
            KeySource::Local(set) => {
                let current = Current::published(set.borrow().clone(), &algorithms);
                Self::of(issuer, algorithms, Origin::Local(set), current)
            }
            KeySource::Url(url) => Self::loaded_by(issuer, algorithms, Arc::new(Remote { http: http.clone(), url })),
            KeySource::File(path) => Self::loaded_by(issuer, algorithms, Arc::new(path)),
        }
    }

    pub(super) fn loaded_by(issuer: String, algorithms: Vec<Algorithm>, load: Arc<dyn Load>) -> Arc<Self> {
        Self::of(issuer, algorithms, Origin::Outside(load), Current::default())
    }

    fn of(issuer: String, algorithms: Vec<Algorithm>, origin: Origin, current: Current) -> Arc<Self> {
        Arc::new(Self {
            issuer,
            algorithms,
            origin,
            current: ArcSwap::from_pointee(current),
            loads: parking_lot::Mutex::default(),
            began: Notify::new(),
        })
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    /// Whether any token could pass.
    pub(super) fn is_loaded(&self) -> bool {
        !self.current.load().set.is_empty()
    }

    /// Whether the issuer has answered, or failed to.
    pub(super) fn is_tried(&self) -> bool {
        !matches!(self.origin, Origin::Outside(_)) || self.loads.lock().tried
    }

    /// Keys among which is the one for this `kid`.
    pub(super) async fn with(self: &Arc<Self>, kid: Option<&str>) -> Result<Arc<Current>, TokenError> {
        let current = self.current();
        if current.set.find(kid).is_some() {
            return Ok(current);
        }
        if kid.is_none() && !current.set.is_empty() {
            // No set will say which of several keys a token without `kid` was signed with.
            return Err(TokenError::Invalid);
        }
        let loaded = match self.load_for_unknown_key() {
            Some(loading) => loading.await,
            None => false,
        };
        let current = self.current();
        if current.set.find(kid).is_some() {
            Ok(current)
        } else if !current.set.is_empty() && kid.is_none_or(|kid| self.is_absent(kid, loaded)) {
            Err(TokenError::Invalid)
        } else {
            Err(TokenError::KeysUnavailable)
        }
    }

    /// Keeps the keys fresh until `stop`. Returns at once for a shared secret.
    pub(super) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        match &self.origin {
            Origin::Secret => {}
            Origin::Local(set) => {
                let mut set = set.clone();
                while let Some(Ok(())) = stop.run_until_cancelled(set.changed()).await {
                    let published = set.borrow_and_update().clone();
                    self.replace(published);
                }
            }
            Origin::Outside(load) => {
                // The future is large, and one of many in the task of its caller.
                let _ = stop.run_until_cancelled(Box::pin(self.reload(load))).await;
            }
        }
    }

    async fn reload(self: &Arc<Self>, load: &Arc<dyn Load>) {
        let (first, longest) = RETRY_WITHOUT_KEYS;
        let mut retry = first;
        loop {
            self.running_or_new(load).await;
            let pause = if self.is_loaded() { REFRESH } else { retry };
            retry = if self.is_loaded() { first } else { (retry * 2).min(longest) };
            let mut pause = std::pin::pin!(tokio::time::sleep(pause));
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    () = self.began.notified() => {}
                }
                if let Some(loading) = self.running() {
                    loading.await;
                }
            }
        }
    }

    fn running(&self) -> Option<Loading> {
        self.loads.lock().running.clone()
    }

    fn running_or_new(self: &Arc<Self>, load: &Arc<dyn Load>) -> Loading {
        let mut loads = self.loads.lock();
        loads.running.clone().unwrap_or_else(|| self.begin(load, &mut loads))
    }

    /// The load that runs, or a new one if the cooldown is over.
    fn load_for_unknown_key(self: &Arc<Self>) -> Option<Loading> {
        let Origin::Outside(load) = &self.origin else { return None };
        let mut loads = self.loads.lock();
        if let Some(running) = &loads.running {
            return Some(running.clone());
        }
        let cools_down = loads.began_at.is_some_and(|at| now() < at + COOLDOWN);
        (!cools_down).then(|| self.begin(load, &mut loads))
    }

    fn begin(self: &Arc<Self>, load: &Arc<dyn Load>, loads: &mut Loads) -> Loading {
        // Weak, or an unfinished load, which the keys hold, would hold the keys.
        let (load, keys) = (Arc::clone(load), Arc::downgrade(self));
        let loading = async move {
            let result = timeout(LOAD_TIMEOUT, load.load()).await.unwrap_or(Err(FetchError::TimedOut));
            keys.upgrade().is_some_and(|keys| keys.end(result))
        };
        let loading = loading.boxed().shared();
        loads.running = Some(loading.clone());
        loads.began_at = Some(now());
        self.began.notify_one();
        loading
    }

    fn end(&self, result: Result<JwkSet, FetchError>) -> bool {
        let issuer = &self.issuer;
        let loaded = result.is_ok();
        match result {
            Ok(set) => self.replace(set),
            Err(error) if self.is_loaded() => {
                tracing::warn!(issuer, %error, "cannot load the issuer's keys again; the last ones stay in use");
            }
            Err(error) => {
                tracing::warn!(
                    issuer,
                    %error,
                    "cannot load the issuer's keys: its users cannot connect; check `jwt.jwksUrl` (JWT_JWKS_URL) or \
                     `issuers` (ISSUERS), and whether this machine reaches the issuer"
                );
            }
        }
        let mut loads = self.loads.lock();
        loads.running = None;
        loads.tried = true;
        if loaded {
            loads.absent.clear();
        }
        loaded
    }

    /// Whether the last loaded set is known to lack this key; it does if it was loaded for this key.
    fn is_absent(&self, kid: &str, loaded: bool) -> bool {
        if !matches!(self.origin, Origin::Outside(_)) {
            return true;
        }
        let mark = Mark::of("", kid);
        let absent = &mut self.loads.lock().absent;
        if loaded && !absent.contains(&mark) {
            absent.truncate(MAX_ABSENT - 1);
            absent.push_front(mark);
        }
        loaded || absent.contains(&mark)
    }

    /// Uses this set from now on.
    fn replace(&self, published: JwkSet) {
        if self.current.load().published.as_ref() == Some(&published) {
            return;
        }
        let (issuer, number) = (&self.issuer, published.keys.len());
        let current = Current::published(published, &self.algorithms);
        if current.set.is_empty() {
            tracing::warn!(
                issuer,
                number,
                algorithms = ?self.algorithms,
                "none of the issuer's keys can be used with its algorithms: its users cannot connect"
            );
        } else {
            tracing::info!(issuer, number, "loaded the issuer's keys");
        }
        self.current.store(Arc::new(current));
    }
}

impl Current {
    fn published(set: JwkSet, algorithms: &[Algorithm]) -> Self {
        let usable = KeySet::from_jwks_allowing(&set, algorithms);
        Self { set: usable, published: Some(set), remembered: parking_lot::Mutex::default() }
    }
}
