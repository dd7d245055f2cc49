//! The auth service's metrics, all of them. The doc comment is the help text in `/metrics`; labels come from closed lists
//! only, and no label ever holds an address or a name.

use jackfield_shared::{http::measure::STATUSES, metrics::OTHER};

use crate::app::App;

/// Route patterns as the router spells them. A test compares them with the API document.
const ENDPOINTS: &[&str] = &[
    "/api/auth/register",
    "/api/auth/login",
    "/api/auth/check-status",
    "/api/auth/refresh",
    "/api/auth/logout",
    "/api/auth/password",
    "/api/users",
    "/api/users/{id}",
    "/api/seed",
    "/.well-known/jwks.json",
    OTHER,
];

jackfield_shared::metric_list! {
    /// HTTP requests answered, by endpoint and status class.
    Counter REQUESTS = "jackfield_auth_requests_total"
        by endpoint in ENDPOINTS, status in STATUSES;
    /// Time to answer an HTTP request, in seconds, by endpoint.
    Histogram REQUEST = "jackfield_auth_request_seconds" by endpoint in ENDPOINTS;
    /// Sign-ins that failed: wrong password or unknown email address.
    Counter LOGINS_FAILED = "jackfield_auth_logins_failed_total";
    /// Requests refused by a rate limit: too many failed sign-ins, too many registrations from one client address, or
    /// too many changes of one user that end logins.
    Counter RATE_LIMITED = "jackfield_auth_rate_limited_total" by what in &["login", "register", "logout"];
    /// Refresh tokens presented, by outcome: `rotated` (exchanged), `repeated` (the same successor again, for an answer
    /// that was lost), `reused` (used before, so the login was ended), or `refused`.
    Counter REFRESHES = "jackfield_auth_refreshes_total" by outcome in &["rotated", "repeated", "reused", "refused"];
    /// Logins that were ended, by reason: `revoked` for a refresh token that was used twice, `limit` for `login.open`.
    Counter LOGINS_ENDED = "jackfield_auth_logins_ended_total"
        by reason in &["logout", "password_changed", "deactivated", "revoked", "reset", "limit"];
    /// Time to hash or verify one password, in seconds, without the wait for its turn.
    Histogram PASSWORD = "jackfield_auth_password_seconds" by what in &["hash", "verify"];
    /// Time that a password waits for its turn to be hashed, in seconds.
    Histogram PASSWORD_WAIT = "jackfield_auth_password_wait_seconds";
    /// Requests refused because too many passwords were waiting, or one waited longer than `password.wait`.
    Counter PASSWORD_BUSY = "jackfield_auth_password_busy_total";
    /// Open database connections, by state.
    Gauge DATABASE = "jackfield_auth_database_connections" by state in &["idle", "busy"];
    /// Limit of open database connections.
    Gauge DATABASE_LIMIT = "jackfield_auth_database_connections_limit";
    /// Seconds since the key that signs tokens began to sign.
    Gauge KEY_AGE = "jackfield_auth_signing_key_age_seconds";
    /// Times that this service began to sign with another key.
    Counter KEY_ROTATIONS = "jackfield_auth_signing_key_rotations_total";
    /// Failed attempts to load the signing keys, one every few seconds; the service goes on with those that it has.
    Counter KEY_RELOADS_FAILED = "jackfield_auth_signing_key_reloads_failed_total";
}

/// Samples the gauges.
pub(crate) fn sample(app: &App) {
    let pool = app.users.pool();
    DATABASE.set_for(["idle"], pool.idle);
    DATABASE.set_for(["busy"], pool.open.saturating_sub(pool.idle));
    DATABASE_LIMIT.set(pool.limit);
    let age = (chrono::Utc::now() - app.tokens.keys().since()).num_seconds();
    KEY_AGE.set(usize::try_from(age).unwrap_or(0));
}
