//! The tables: medians and ranges of all rounds, and the ratio to Node's Socket.IO. Pure.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::Value;

use super::{
    peer::{BASELINE, Peer},
    results::Results,
    scenario::{Figure, Scenario},
    summary,
    warnings::{self, is_off_pace},
};

/// A table for each scenario that was measured, a summary, and warnings.
pub fn all(results: &Results) -> String {
    let scenarios: BTreeSet<Scenario> = results.runs.iter().map(|run| run.scenario).collect();
    let mut text: String = scenarios.into_iter().map(|scenario| table(results, scenario)).collect();
    text.push_str(&summary::table(results));
    text.push_str(&warnings::all(results));
    text
}

fn table(results: &Results, scenario: Scenario) -> String {
    let figure = scenario.figure();
    let peers: BTreeSet<Peer> =
        results.runs.iter().filter(|run| run.scenario == scenario).map(|run| run.peer).collect();
    let baseline = median(&figures(results, scenario, BASELINE));
    let mut text = format!("\n{scenario}: {}\n\n", scenario.about());
    let heads = ["peer", figure.unit(), &format!("× {BASELINE}"), "per second", "p50 ms", "p99 ms"].join(" | ");
    let _ = writeln!(text, "| {heads} | lost, doubled, out of order | generator / server CPU | stolen | others |");
    let _ = writeln!(text, "|{}", "---|".repeat(10));
    for peer in peers {
        let own = figures(results, scenario, peer);
        let ratio = match (median(&own), baseline) {
            (Some(own), Some(baseline)) if baseline > 0.0 => format!("{:.2}", own / baseline),
            _ => "–".into(),
        };
        let column = |name: &str, show: fn(f64) -> String| range(&column(results, scenario, peer, name), show);
        let cells = [
            peer.to_string(),
            range(&own, |value| number(value, figure)),
            ratio,
            column("per_second", whole),
            column("p50_ms", fine),
            column("p99_ms", fine),
            faults(results, scenario, peer),
            column("generator_share", fine),
            column("stolen", percent),
            column("others", percent),
        ];
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Successful runs, without those that fell behind their pace.
fn sound(results: &Results, scenario: Scenario, peer: Peer) -> impl Iterator<Item = &Value> {
    results.of(scenario, peer).filter(|outcome| !is_off_pace(outcome))
}

/// The main figure of these runs.
pub fn figures(results: &Results, scenario: Scenario, peer: Peer) -> Vec<f64> {
    sound(results, scenario, peer).filter_map(|outcome| scenario.figure().of(outcome)).collect()
}

fn column(results: &Results, scenario: Scenario, peer: Peer, name: &str) -> Vec<f64> {
    let value = |outcome: &Value| match name {
        "generator_share" => Some(outcome["generator_cpu"].as_f64()? / outcome["server_cpu"].as_f64()?),
        name => outcome[name].as_f64(),
    };
    sound(results, scenario, peer).filter_map(value).filter(|value| value.is_finite()).collect()
}

/// Sums over all rounds; a range would hide them. Other faults are named only where there are some.
fn faults(results: &Results, scenario: Scenario, peer: Peer) -> String {
    let sum = |name: &str| results.of(scenario, peer).filter_map(|outcome| outcome[name].as_u64()).sum::<u64>();
    let mut text = match scenario.figure() {
        Figure::Connects | Figure::Memory => "–".to_owned(),
        _ => format!("{}, {}, {}", sum("lost"), sum("doubled"), sum("reordered")),
    };
    for (name, what) in [
        ("misdirected", "misdirected"),
        ("unanswered", "unanswered"),
        ("refused", "refused"),
        ("disconnected", "disconnected"),
        ("rejoins", "joins repeated"),
    ] {
        if sum(name) > 0 {
            let _ = write!(text, "; {} {what}", sum(name));
        }
    }
    let off_pace = results.of(scenario, peer).filter(|outcome| is_off_pace(outcome)).count();
    if off_pace > 0 {
        let _ = write!(text, "; left out, off the pace: {off_pace}");
    }
    let failed =
        results.runs.iter().filter(|run| run.scenario == scenario && run.peer == peer && run.outcome.is_none());
    match failed.count() {
        0 => text,
        failed => format!("{text}; failed runs: {failed}"),
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length.is_multiple_of(2) => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

/// `median (min..max)`, or the value if there is one only.
fn range(values: &[f64], show: impl Fn(f64) -> String) -> String {
    let Some(median) = median(values) else { return "–".into() };
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match values.len() {
        1 => show(median),
        _ => format!("{} ({}..{})", show(median), show(least), show(most)),
    }
}

/// A main figure.
pub fn number(value: f64, figure: Figure) -> String {
    if figure == Figure::Memory { format!("{value:.1}") } else { whole(value) }
}

/// `12,345`
fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn fine(value: f64) -> String {
    format!("{value:.2}")
}

/// `12 %`
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Two runs of Node, and four of Jackfield: one has failed.
    pub fn results() -> Results {
        let line = |peer: &str, per_cpu: u32, lost: u32, stolen: f64| {
            format!(
                r#"{{"round":1,"scenario":"echo","peer":"{peer}","outcome":{{"per_cpu_second":{per_cpu},"p50_ms":1.5,
                "lost":{lost},"doubled":0,"reordered":0,"server_cpu":2.0,"generator_cpu":0.5,"stolen":{stolen},"others":0.01}}}}"#
            )
            .replace('\n', "")
        };
        let lines = [
            r#"{"machine":"a machine","quick":false,"debug":true}"#.to_owned(),
            line("node", 10_000, 0, 0.0),
            line("node", 30_000, 0, 0.01),
            line("jackfield", 50_000, 1, 0.0),
            line("jackfield", 40_000, 2, 0.3),
            line("jackfield", 45_000, 0, 0.0),
            r#"{"round":3,"scenario":"echo","peer":"jackfield","outcome":null}"#.to_owned(),
        ];
        Results::parse(&lines.join("\n"))
    }

    #[test]
    fn a_table_has_medians_ranges_ratios_and_faults() {
        let text = all(&results());
        let ours = "| jackfield | 45,000 (40,000..50,000) | 2.25 | – | 1.50 (1.50..1.50) | – \
                    | 3, 0, 0; failed runs: 1 | 0.25 (0.25..0.25) | 0 % (0 %..30 %) | 1 % (1 %..1 %) |";
        assert!(text.contains(ours), "{text}");
        assert!(text.contains("| node | 20,000 (10,000..30,000) | 1.00 |"), "{text}");
    }

    #[test]
    fn numbers_are_grouped() {
        let shown = [0.0, 999.4, 1_000.0, 1_234_567.0, -1_000.0, -100.0].map(whole);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "-1,000", "-100"]);
        assert_eq!(number(13.37, Figure::Memory), "13.4");
        assert_eq!(median(&[]), None);
    }
}
