//! The result of a run: figures for people and programs, and the first violations.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{
    checker::{self, Kind, Rules, Violation},
    fault::Fault,
    record::{Room, Trace},
    shared::{Figures, Shared},
};

/// A fault that was injected.
#[derive(Clone)]
pub struct Injected {
    /// As planned.
    pub fault: Fault,
    /// When it began, in milliseconds of the run.
    pub from_ms: u32,
    /// When it was reverted; for a kill, when it began.
    pub to_ms: u32,
}

/// Deliveries after a fault.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// Whether its time limit applies: [`super::fault::Kind::must_recover_in_time`].
    #[serde(skip)]
    pub must_recover_in_time: bool,
    /// Description of the fault.
    pub fault: String,
    /// Seconds of the run.
    pub from: f64,
    /// Seconds of the run.
    pub to: f64,
    /// Seconds from the fault's end to the first delivery to any member.
    pub first: Option<f64>,
    /// Seconds from the fault's end until every member had a delivery in each of its rooms; none if one had none.
    pub all_members: Option<f64>,
}

/// Figures of a run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Seed of everything that was drawn.
    pub seed: u64,
    pub seconds: f64,
    #[serde(flatten)]
    pub figures: Figures,
    pub deliveries: u64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    pub never_sent: u64,
    pub unexpected_resets: u64,
    /// Resets of members that had missed more than a room keeps.
    pub justified_resets: u64,
    /// Other resets in a run whose faults may lose data.
    pub excused_resets: u64,
    pub told_after: u64,
    /// Acknowledged messages that Redis lost.
    pub vanished: u64,
    pub rejected: u64,
    /// Answers with an error, by event and code.
    pub errors: BTreeMap<String, u64>,
    pub breaches: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Seconds from the loss of a member's connection until it was in all its rooms again.
    pub away_p50: f64,
    pub away_p99: f64,
    /// Longest [`Recovery::first`] of all faults; none if there was no delivery after one of them.
    pub first_delivery: Option<f64>,
    /// Longest [`Recovery::all_members`] of all faults; none if a member had no delivery after one of them.
    pub all_members_again: Option<f64>,
    pub faults: Vec<Recovery>,
    /// Why the run did not settle, if it did not.
    pub unfinished: Option<String>,
    #[serde(skip)]
    violations: u64,
    /// The first breaches and violations, as text.
    #[serde(skip)]
    pub details: Vec<String>,
}

impl Report {
    /// Judges a run; takes its records out of `shared`.
    pub fn of(shared: &Shared, rules: &Rules, injected: &[Injected], seed: u64, unfinished: Option<String>) -> Self {
        let rooms: Vec<Room> = shared.rooms.iter().map(|room| std::mem::take(&mut *room.lock())).collect();
        let sent: Vec<_> = shared.sent.iter().map(|sent| std::mem::take(&mut *sent.lock())).collect();
        let verdict = checker::check(&rooms, &sent, rules);
        let faults: Vec<Recovery> = injected.iter().map(|injected| recovery(&rooms, injected)).collect();
        let longest = |of: fn(&Recovery) -> Option<f64>| {
            faults.iter().map(of).try_fold(0.0, |longest, time| Some(f64::max(longest, time?)))
        };
        let breaches = shared.breaches.lock();
        let (mut latency, mut absences) = (shared.latency.lock(), shared.absences.lock());
        let mut details: Vec<String> = breaches.1.iter().map(|breach| format!("breach: {breach}")).collect();
        details.extend(verdict.violations.iter().map(|violation| detail(violation, &rooms, injected)));
        Self {
            seed,
            seconds: seconds(shared.now_ms()),
            figures: shared.figures.lock().clone(),
            deliveries: verdict.deliveries,
            lost: verdict.lost(),
            doubled: verdict.doubled(),
            reordered: verdict.reordered(),
            never_sent: verdict.count(Kind::NeverSent),
            unexpected_resets: verdict.count(Kind::Reset),
            justified_resets: verdict.justified_resets,
            excused_resets: verdict.excused_resets,
            told_after: verdict.told_after,
            vanished: verdict.vanished,
            rejected: verdict.count(Kind::Rejected),
            errors: shared.errors.lock().clone(),
            breaches: breaches.0,
            p50_ms: milliseconds(percentile(&mut latency, 50)),
            p99_ms: milliseconds(percentile(&mut latency, 99)),
            away_p50: percentile(&mut absences, 50).as_secs_f64(),
            away_p99: percentile(&mut absences, 99).as_secs_f64(),
            first_delivery: longest(|recovery| recovery.first),
            all_members_again: longest(|recovery| recovery.all_members),
            faults,
            unfinished,
            violations: verdict.all(),
            details,
        }
    }

    /// Whether there was no violation and no protocol breach (a justified reset is neither), the run settled, and anything
    /// was delivered.
    pub fn is_clean(&self) -> bool {
        self.violations == 0 && self.breaches == 0 && self.unfinished.is_none() && self.deliveries > 0
    }
}

/// The duration that so many percent do not exceed; zero if there are none.
pub fn percentile(durations: &mut [Duration], percent: usize) -> Duration {
    match (durations.len() * percent).div_ceil(100) {
        0 => Duration::ZERO,
        rank => *durations.select_nth_unstable(rank - 1).1,
    }
}

/// Milliseconds with a fraction.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

fn seconds(milliseconds: u32) -> f64 {
    f64::from(milliseconds) / 1_000.0
}

fn in_seconds(time: Option<f64>) -> String {
    time.map_or("never".into(), |time| format!("{time:.2} s"))
}

/// Measures the deliveries after a fault. Each trace is ordered by time.
fn recovery(rooms: &[Room], injected: &Injected) -> Recovery {
    let end = injected.to_ms;
    let first_after = |trace: &Trace| {
        let from = trace.entries.partition_point(|entry| entry.at_ms < end);
        trace.entries[from..].iter().find(|entry| entry.observation.message().is_some()).map(|entry| entry.at_ms - end)
    };
    let firsts = || rooms.iter().flat_map(|room| &room.traces).map(first_after);
    Recovery {
        must_recover_in_time: injected.fault.kind.must_recover_in_time(),
        fault: injected.fault.to_string(),
        from: seconds(injected.from_ms),
        to: seconds(end),
        first: firsts().flatten().min().map(seconds),
        all_members: firsts().try_fold(0, |latest, first| Some(first?.max(latest))).map(seconds),
    }
}

fn detail(violation: &Violation, rooms: &[Room], injected: &[Injected]) -> String {
    let Violation { kind, room, member, message, at_ms, around } = violation;
    let member = member.map_or(String::new(), |member| format!(", {}", super::member::name(member)));
    let distance = |one: &&Injected| one.from_ms.saturating_sub(*at_ms).max(at_ms.saturating_sub(one.to_ms));
    let near = injected.iter().min_by_key(distance).map_or(String::new(), |one| {
        format!(", near {:.1}–{:.1} s {}", seconds(one.from_ms), seconds(one.to_ms), one.fault)
    });
    let head = format!("{kind}: {}{member}, {message}, at {:.3} s{near}", rooms[*room].name, seconds(*at_ms));
    around.iter().fold(head, |text, line| format!("{text}\n    {line}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        let mut row = |name: &str, value: String| writeln!(f, "{name:24} {value:>12}");
        row("sent", figures.sent.to_string())?;
        row("acked", figures.acked.to_string())?;
        row("deliveries", self.deliveries.to_string())?;
        row("LOST", self.lost.to_string())?;
        row("DOUBLED", self.doubled.to_string())?;
        row("REORDERED", self.reordered.to_string())?;
        row("never sent", self.never_sent.to_string())?;
        row("unexpected resets", self.unexpected_resets.to_string())?;
        row("justified resets", self.justified_resets.to_string())?;
        row("excused resets", self.excused_resets.to_string())?;
        row("gone, told after", self.told_after.to_string())?;
        row("acked, then gone", self.vanished.to_string())?;
        row("rejected", self.rejected.to_string())?;
        row("protocol breaches", self.breaches.to_string())?;
        row("reconnects", figures.reconnects.to_string())?;
        row("  recovered", figures.recovered.to_string())?;
        row("failed handshakes", figures.failed_handshakes.to_string())?;
        row("silent servers", figures.silent_servers.to_string())?;
        row("retries", figures.retries.to_string())?;
        row("unavailable acks", figures.unavailable.to_string())?;
        row("unanswered", figures.unanswered.to_string())?;
        row("latency p50", format!("{:.1} ms", self.p50_ms))?;
        row("latency p99", format!("{:.1} ms", self.p99_ms))?;
        row("away p50", format!("{:.2} s", self.away_p50))?;
        row("away p99", format!("{:.2} s", self.away_p99))?;
        if !self.faults.is_empty() {
            row("first delivery after", in_seconds(self.first_delivery))?;
            row("all members again after", in_seconds(self.all_members_again))?;
        }
        for (answer, count) in &self.errors {
            writeln!(f, "{count:>8} × {answer}")?;
        }
        for Recovery { fault, from, to, first, all_members, .. } in &self.faults {
            let (first, all) = (in_seconds(*first), in_seconds(*all_members));
            writeln!(f, "{from:6.1}–{to:.1} s {fault}: first delivery {first}, all members {all}")?;
        }
        Ok(())
    }
}

/// Prints the report. Fails if the run is not clean; the error names the arguments that repeat it (`again`).
pub fn conclude(report: &Report, json: bool, again: &str) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{report}");
    }
    if report.is_clean() {
        return Ok(());
    }
    for detail in &report.details {
        eprintln!("{detail}");
    }
    if let Some(unfinished) = &report.unfinished {
        eprintln!("{unfinished}");
    }
    anyhow::bail!("the rooms broke promises, or the run did not settle; repeat with {again}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proxy::Link, record::Observation};

    /// The recovery of a fault that ended at 1 s, for members with deliveries at these times, in milliseconds.
    fn after(deliveries: &[&[u32]]) -> (Option<f64>, Option<f64>) {
        let mut room = Room::new("r".into(), (0..).take(deliveries.len()));
        for (place, times) in deliveries.iter().enumerate() {
            times.iter().for_each(|at| room.observe(place, *at, Observation::Live(0)));
        }
        let kind = super::super::fault::Kind::Pause;
        let fault = Fault { kind, node: 0, link: Link::Whole, pick: 0, at: Duration::ZERO, lasts: Duration::ZERO };
        let Recovery { first, all_members, .. } = recovery(&[room], &Injected { fault, from_ms: 500, to_ms: 1_000 });
        (first, all_members)
    }

    #[test]
    fn percentiles() {
        let percentile = |count: u64, percent| {
            let mut durations: Vec<Duration> = (1..=count).rev().map(Duration::from_micros).collect();
            percentile(&mut durations, percent).as_micros()
        };
        assert_eq!([50, 99, 100].map(|percent| percentile(1_000, percent)), [500, 990, 1_000]);
        assert_eq!([1, 50, 99].map(|percent| percentile(3, percent)), [1, 2, 3]);
        assert_eq!(percentile(0, 99), 0);
    }

    #[test]
    fn a_member_without_a_later_delivery_is_not_left_out() {
        assert_eq!(after(&[&[900, 1_100, 1_200], &[1_500]]), (Some(0.1), Some(0.5)));
        assert_eq!(after(&[&[900, 1_100], &[900]]), (Some(0.1), None));
        assert_eq!(after(&[&[900], &[]]), (None, None));
    }
}
