//! The auth service's metrics, all of them. The doc comment is the help text in `/metrics`; labels come from closed lists
//! only, and no label ever holds an address or a name.

use jackfield_shared::{http::measure::STATUSES, metrics::OTHER};

use crate::app::App;

/// Route patterns as the router spells them. A test compares them with the API document.
const ENDPOINTS: &[&str] =
    &["/api/auth/register", "/api/auth/login", "/api/auth/check-status", "/api/seed", "/.well-known/jwks.json", OTHER];

jackfield_shared::metric_list! {
    /// Requests answered, by endpoint and class of status.
    Counter REQUESTS = "jackfield_auth_requests_total"
        by endpoint in ENDPOINTS, status in STATUSES;
    /// Seconds that a request takes, by endpoint.
    Histogram REQUEST = "jackfield_auth_request_seconds" by endpoint in ENDPOINTS;
    /// Sign-ins with a wrong password or an unknown address.
    Counter LOGINS_FAILED = "jackfield_auth_logins_failed_total";
    /// Requests refused because of too many failed sign-ins, or too many registrations of one client address.
    Counter RATE_LIMITED = "jackfield_auth_rate_limited_total" by what in &["login", "register"];
    /// Seconds that one password takes, the wait for its turn not included.
    Histogram PASSWORD = "jackfield_auth_password_seconds" by what in &["hash", "verify"];
    /// Seconds that a password waits for its turn.
    Histogram PASSWORD_WAIT = "jackfield_auth_password_wait_seconds";
    /// Requests refused because too many passwords waited, or theirs waited for too long.
    Counter PASSWORD_BUSY = "jackfield_auth_password_busy_total";
    /// Connections to the database that are open.
    Gauge DATABASE = "jackfield_auth_database_connections" by state in &["idle", "busy"];
    /// Connections to the database that may be open.
    Gauge DATABASE_LIMIT = "jackfield_auth_database_connections_limit";
}

/// Samples the gauges.
pub(crate) fn look(app: &App) {
    let pool = app.users.pool();
    DATABASE.set_for(["idle"], pool.idle);
    DATABASE.set_for(["busy"], pool.open.saturating_sub(pool.idle));
    DATABASE_LIMIT.set(pool.limit);
}
