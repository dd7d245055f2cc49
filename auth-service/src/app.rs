//! The state that all endpoints share: one of each part, and the limits on sign-ins and registrations.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use jackfield_shared::rate_limit::{Allowance, RateLimit};
use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    failed_logins::FailedLogins,
    logins::Logins,
    metrics,
    passwords::Passwords,
    revoker::Revoker,
    rules::Email,
    settings::{Login, Register},
    sign_in::LoginTerms,
    tokens::Tokens,
    users::Users,
};

/// Keys that each limit remembers: about 10 MB if they are long email addresses.
const MAX_KEYS: usize = 100_000;
/// Logouts and changes of the password that one user may make: each adds entries to a list that all gateways copy.
const REVOCATIONS: Allowance = Allowance { count: 100, window: Duration::from_mins(15) };

/// The service behind the routes.
pub struct App {
    /// The accounts.
    pub users: Users,
    /// The hasher.
    pub passwords: Passwords,
    /// The signer.
    pub tokens: Tokens,
    /// The public keys, for a verifier in the same process.
    pub jwks: watch::Sender<JwkSet>,
    /// Limits on sign-ins and registrations.
    pub limits: Limits,
    /// The logins.
    pub logins: Logins,
    /// Tells gateways about revoked tokens.
    pub revoker: Revoker,
    /// How long logins last, and how many a user has.
    pub login: LoginTerms,
    /// Whether `/api/seed` is served.
    pub seed_enabled: bool,
    /// Proxies in front whose `X-Forwarded-For` is trusted.
    pub proxy_hops: usize,
}

/// How often a client may sign in or register. Each service process counts for itself.
pub struct Limits {
    failed_logins: Mutex<FailedLogins>,
    registrations: Mutex<RateLimit<IpAddr>>,
    revocations: Mutex<RateLimit<Uuid>>,
}

/// Too many attempts; the client may retry later.
#[derive(Debug, thiserror::Error)]
#[error("Too many attempts, retry later")]
pub struct TooMany {
    /// How long the client must wait.
    pub wait: Duration,
}

impl TooMany {
    /// Counts the refusal here, because every value made here is sent to a client.
    fn counted(what: &'static str, wait: Duration) -> Self {
        metrics::RATE_LIMITED.add_for([what], 1);
        Self { wait }
    }
}

impl Limits {
    /// These limits, with nothing counted yet.
    #[must_use]
    pub fn new(login: &Login, register: &Register) -> Self {
        let registrations = Allowance { count: register.per_address, window: register.window };
        Self {
            failed_logins: Mutex::new(FailedLogins::new(login, MAX_KEYS)),
            registrations: Mutex::new(RateLimit::new(registrations, MAX_KEYS)),
            revocations: Mutex::new(RateLimit::new(REVOCATIONS, MAX_KEYS)),
        }
    }

    /// Whether this client may try to sign in to this account.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn may_log_in(&self, email: &Email, client: IpAddr) -> Result<(), TooMany> {
        let checked = self.failed_logins.lock().check(email, client, Instant::now());
        checked.map_err(|wait| TooMany::counted("login", wait))
    }

    /// Counts a sign-in that failed.
    pub fn record_failed_login(&self, email: &Email, client: IpAddr) {
        metrics::LOGINS_FAILED.add(1);
        self.failed_logins.lock().record(email, client, Instant::now());
    }

    /// Counts a registration from this client, if its limit allows one.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn count_registration(&self, client: IpAddr) -> Result<(), TooMany> {
        let taken = self.registrations.lock().take(&client, Instant::now());
        taken.map_err(|wait| TooMany::counted("register", wait))
    }

    /// Counts a change by this user that ends logins, if the user's limit allows one.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn count_revocation(&self, user: Uuid) -> Result<(), TooMany> {
        let taken = self.revocations.lock().take(&user, Instant::now());
        taken.map_err(|wait| TooMany::counted("logout", wait))
    }
}
