//! Times as every part of the system writes them: RFC 3339, UTC, milliseconds.

use std::time::Instant;

use chrono::{DateTime, SecondsFormat, Utc};

/// `at` as `2026-01-31T23:59:59.123Z`.
#[must_use]
pub fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The present moment as [`rfc3339`] writes it.
#[must_use]
pub fn now_rfc3339() -> String {
    rfc3339(Utc::now())
}

/// A Unix time in seconds as [`rfc3339`] writes it; one outside the calendar is written as its nearest end.
#[must_use]
pub fn rfc3339_of_unix(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|s| DateTime::from_timestamp(s, 0));
    rfc3339(at.unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// The present moment of the clock that timers use: a test that pauses the runtime's time pauses this, too.
#[must_use]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Seconds since the Unix epoch.
#[must_use]
pub fn unix_now() -> u64 {
    u64::try_from(Utc::now().timestamp()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        assert_eq!(rfc3339_of_unix(1_700_000_000), "2023-11-14T22:13:20.000Z");
        assert!(now_rfc3339().ends_with('Z'));
    }
}
