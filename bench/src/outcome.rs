//! The figures of one run, as the line of JSON that this program prints.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{checker::Verdict, crowd::Crowd, histogram::Histogram, usage::Usage};

/// All figures. Those that a workload does not have are left out.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Clients that were ready.
    pub sockets: usize,
    /// Clients that never became ready.
    pub failed: usize,
    /// Clients that were ready and lost their connection.
    pub disconnected: usize,
    /// Why, with counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failures: BTreeMap<String, u64>,
    /// Joins that were refused and repeated.
    pub rejoins: u64,
    /// The count of the run: deliveries, acknowledgements or connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Of these, per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Of these, per CPU second of all servers together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_cpu_second: Option<f64>,
    /// Resident memory of the servers, less what they had without clients, per client; KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kb_per_socket: Option<f64>,
    /// Time from sending (in paced runs: from when the message was due) to the receiver, or to the acknowledgement, or
    /// until a client was ready; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// The same of 99 of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Lost, doubled, out of order, misdirected; over the whole run.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Messages without an acknowledgement at the end.
    pub unanswered: u64,
    /// Messages that the server refused.
    pub refused: u64,
    /// Messages of a run as fast as it goes that were given up after some seconds, because not everybody had them.
    pub stalled: u64,
    /// Deliveries per second that a paced run asks for. If `per_second` differs, the machine did not keep the pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_per_second: Option<f64>,
    /// The longest delay between the time that a message was due and its sending: the generator's own; milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<f64>,
    /// Wall-clock seconds that were measured.
    pub seconds: f64,
    /// CPU seconds of the servers in that time.
    pub server_cpu: f64,
    /// CPU seconds of all Redis.
    pub redis_cpu: f64,
    /// CPU seconds of each, if there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redis_cpu_each: Vec<f64>,
    /// CPU seconds of this program.
    pub generator_cpu: f64,
    /// Share of the machine's CPU time that other processes used, 0 to 1.
    pub others: f64,
    /// Share of the machine's CPU time that the hypervisor gave to others, 0 to 1.
    pub stolen: f64,
}

impl Outcome {
    /// With the crowd's figures.
    pub fn of_crowd(crowd: &Crowd) -> Self {
        Self {
            sockets: crowd.ready(),
            failed: crowd.failed(),
            disconnected: crowd.lost(),
            failures: crowd.failures.clone(),
            ..Self::default()
        }
    }

    /// Adds what was used.
    pub fn with_usage(self, usage: &Usage) -> Self {
        Self {
            seconds: usage.seconds,
            server_cpu: usage.servers,
            redis_cpu: usage.redis.iter().sum(),
            redis_cpu_each: if usage.redis.len() > 1 { usage.redis.clone() } else { Vec::new() },
            generator_cpu: usage.generator,
            others: usage.others,
            stolen: usage.stolen,
            ..self
        }
    }

    /// Adds what was counted in that time, and its cost.
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    pub fn with_count(self, count: u64, usage: &Usage) -> Self {
        let per = |seconds: f64| (seconds > 0.0).then(|| count as f64 / seconds);
        let outcome = self.with_usage(usage);
        Self { count: Some(count), per_second: per(usage.seconds), per_cpu_second: per(usage.servers), ..outcome }
    }

    /// Adds times.
    pub fn with_latency(self, latency: &Histogram) -> Self {
        Self { p50_ms: latency.percentile(50), p99_ms: latency.percentile(99), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_per_second_of_each_kind() {
        let usage = Usage { seconds: 2.0, servers: 0.5, redis: vec![0.1], generator: 0.2, others: 0.4, stolen: 0.0 };
        let outcome = Outcome::default().with_count(1_000, &usage);
        assert_eq!((outcome.per_second, outcome.per_cpu_second), (Some(500.0), Some(2_000.0)));
        let none = Outcome::default().with_count(5, &Usage { servers: 0.0, ..usage.clone() });
        assert_eq!(none.per_cpu_second, None);
    }

    #[test]
    fn the_verdict_is_part_of_the_line() {
        let outcome = Outcome { verdict: Some(Verdict { lost: 3, ..Verdict::default() }), ..Outcome::default() };
        let line = serde_json::to_value(&outcome).unwrap();
        assert_eq!(line["lost"], 3);
        assert_eq!(line.get("kb_per_socket"), None);
    }
}
