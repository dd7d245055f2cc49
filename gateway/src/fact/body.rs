//! A fact as backends get it.

use chrono::DateTime;
use jackfield_cluster::facts::Fact;
use jackfield_shared::time::rfc3339;
use serde::Serialize;
use serde_json::value::RawValue;

/// `{id, type, timestamp, data}`.
#[derive(Serialize)]
pub(crate) struct FactBody<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: &'a RawValue,
}

/// The body of a fact; `None` if its data are no JSON, which nothing writes.
pub(crate) fn body(fact: &Fact) -> Option<FactBody<'_>> {
    Some(FactBody {
        id: fact.id.to_string(),
        kind: fact.kind.as_str(),
        timestamp: timestamp(fact.id.at),
        data: serde_json::from_str(&fact.data).ok()?,
    })
}

/// Microseconds since the Unix epoch as a timestamp.
fn timestamp(micros: u64) -> String {
    let at = i64::try_from(micros).ok().and_then(DateTime::from_timestamp_micros);
    rfc3339(at.unwrap_or_default())
}
