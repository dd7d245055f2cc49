//! Logs: JSON for machines, one pretty line for people. Never a token, a password or a key: libraries log at `debug` at
//! most, regardless of `log.level`. A line names its request ([`crate::http::identify`]), trace ([`crate::trace`]) and
//! session, if it has one.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tracing::Level;
use tracing_subscriber::{EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

crate::settings! {
    /// `log.…`
    pub struct LogSettings {
        /// `pretty` or `json`.
        format: LogFormat = LogFormat::Pretty,
        /// `error`, `warn`, `info`, `debug`, or a filter by module.
        level: String = "info".into(),
    }
}

/// Sends this process's logs to standard error. Call once, first thing in `main`.
///
/// # Errors
/// `log.level` is not a valid filter.
pub fn init(settings: &LogSettings) -> Result<(), String> {
    let filter = EnvFilter::from_str(&settings.level).map_err(|error| {
        format!("setting `log.level` must be a level or a filter such as `warn,jackfield_gateway=debug`: {error}")
    })?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    // At `trace` some libraries log the bytes on the wire.
    let no_wire_data = filter_fn(|line| *line.level() < Level::TRACE || line.target().starts_with("jackfield"));
    let registry = tracing_subscriber::registry().with(filter).with(no_wire_data);
    let installed = match settings.format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
        LogFormat::Pretty => registry.with(lines.with_target(false).compact()).try_init(),
    };
    // A second call in one process (tests, standalone) keeps the first subscriber.
    installed.or(Ok(()))
}
