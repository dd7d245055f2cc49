//! Counts the clients that are back, and when they came.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::echo::Echoes;
use crate::{clock::SECOND, usage::Usage};

/// Seconds after the return for which it is told how many were back.
const MARKS: [u64; 6] = [1, 2, 5, 10, 30, 60];

/// Counts of a storm.
#[derive(Default)]
pub struct Returns {
    since: u64,
    /// When each client that is back came back.
    back: HashMap<usize, u64>,
    /// Clients that were sent away for good.
    gone: HashSet<usize>,
    /// Connects that were begun.
    pub begun: u64,
    /// Of these, given up by the client.
    pub given_up: u64,
    /// Of these, answered with 503.
    pub refused: u64,
    /// Joins that were repeated.
    pub rejoins: u64,
    /// Clients that were back and lost their connection again.
    lost_again: u64,
}

/// The figures of a storm.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Clients.
    pub clients: usize,
    /// How many were back this many seconds after the servers had returned.
    pub back_after: Vec<(u64, usize)>,
    /// Seconds until the last one was back; none if not all are back.
    pub all_back_after: Option<f64>,
    /// Clients that the server sent away for good.
    pub lost_for_good: usize,
    /// The clients' steps at the end.
    pub stages: BTreeMap<String, usize>,
    /// Connects that were begun since the servers were killed, of these given up by their clients, and answered with 503.
    pub begun: u64,
    /// See `begun`.
    pub given_up: u64,
    /// See `begun`.
    pub refused: u64,
    /// Joins that were repeated, because they were refused or not answered.
    pub rejoins: u64,
    /// Clients that were back and lost their connection again.
    pub lost_again: u64,
    /// Milliseconds of the witnesses' echoes: 99 of 100 took at most that before the storm.
    pub calm_p99_ms: Option<f64>,
    /// The same in the storm.
    pub storm_p99_ms: Option<f64>,
    /// Half of them.
    pub storm_p50_ms: Option<f64>,
    /// Echoes in the storm.
    pub storm_echoes: u64,
    /// Seconds from the return until all were back, or until the end.
    pub seconds: f64,
    /// CPU seconds of the servers in that time.
    pub server_cpu: f64,
    /// CPU seconds of Redis.
    pub redis_cpu: f64,
    /// CPU seconds of this program.
    pub generator_cpu: f64,
    /// Share of the machine's CPU time that other processes used, 0 to 1.
    pub others: f64,
    /// Why connections ended, with counts.
    pub failures: BTreeMap<String, u64>,
}

impl Returns {
    /// The servers have returned at this time.
    pub fn since(&mut self, since: u64) {
        self.since = since;
    }

    pub fn back_at(&mut self, who: usize, now: u64) {
        self.back.insert(who, now);
    }

    pub fn left(&mut self, who: usize) {
        if self.since > 0 && self.back.remove(&who).is_some() {
            self.lost_again += 1;
        }
        self.back.remove(&who);
    }

    pub fn gone(&mut self, who: usize) {
        self.back.remove(&who);
        self.gone.insert(who);
    }

    pub fn back(&self) -> usize {
        self.back.len()
    }

    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of one run")]
    pub fn outcome(
        self,
        clients: usize,
        stages: BTreeMap<String, usize>,
        failures: BTreeMap<String, u64>,
        echoes: &Echoes,
        usage: &Usage,
    ) -> Outcome {
        let after = |seconds: u64| self.back.values().filter(|at| **at <= self.since + seconds * SECOND).count();
        let last = self.back.values().max().filter(|_| self.back.len() == clients);
        Outcome {
            clients,
            back_after: MARKS.into_iter().map(|seconds| (seconds, after(seconds))).collect(),
            all_back_after: last.map(|at| at.saturating_sub(self.since) as f64 / SECOND as f64),
            lost_for_good: self.gone.len(),
            stages,
            begun: self.begun,
            given_up: self.given_up,
            refused: self.refused,
            rejoins: self.rejoins,
            lost_again: self.lost_again,
            calm_p99_ms: echoes.calm.percentile(99),
            storm_p99_ms: echoes.stormy.percentile(99),
            storm_p50_ms: echoes.stormy.percentile(50),
            storm_echoes: echoes.stormy.count(),
            seconds: usage.seconds,
            server_cpu: usage.servers,
            redis_cpu: usage.redis.iter().sum(),
            generator_cpu: usage.generator,
            others: usage.others,
            failures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_who_is_back_after_how_long() {
        let usage = Usage { seconds: 9.0, servers: 1.0, redis: vec![0.1], generator: 0.2, others: 0.0, stolen: 0.0 };
        let outcome =
            |returns: Returns| returns.outcome(3, BTreeMap::new(), BTreeMap::new(), &Echoes::default(), &usage);
        let mut returns = Returns::default();
        returns.since(100 * SECOND);
        for (who, seconds) in [(0, 99), (1, 102), (2, 104), (0, 109)] {
            returns.left(who);
            returns.back_at(who, seconds * SECOND);
        }
        let all = outcome(returns);
        assert_eq!(all.back_after, [(1, 0), (2, 1), (5, 2), (10, 3), (30, 3), (60, 3)]);
        assert_eq!((all.all_back_after, all.lost_again, all.lost_for_good), (Some(9.0), 1, 0));
        let mut returns = Returns::default();
        returns.since(SECOND);
        returns.back_at(0, SECOND);
        returns.gone(0);
        let gone = outcome(returns);
        assert_eq!((gone.all_back_after, gone.lost_for_good, gone.back_after[5]), (None, 1, (60, 0)));
    }
}
