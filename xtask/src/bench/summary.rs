//! One table of all scenarios: the median of each peer's main figure, and its ratio to Node's Socket.IO. Pure.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    peer::{BASELINE, Peer},
    results::Results,
    scenario::Scenario,
    table::{figures, median, number},
};

/// The table.
pub fn table(results: &Results) -> String {
    let scenarios: BTreeSet<Scenario> = results.runs.iter().map(|run| run.scenario).collect();
    let peers: BTreeSet<Peer> = results.runs.iter().map(|run| run.peer).collect();
    let names: String = peers.iter().map(|peer| format!(" {peer} |")).collect();
    let mut text = format!("\nAll scenarios: medians, and ratios to {BASELINE}\n\n| scenario | figure |{names}\n");
    let _ = writeln!(text, "|{}", "---|".repeat(2 + peers.len()));
    for scenario in scenarios {
        let baseline = median(&figures(results, scenario, BASELINE));
        let _ = write!(text, "| {scenario} | {} |", scenario.figure().unit());
        for peer in &peers {
            let own = median(&figures(results, scenario, *peer));
            let cell = match (own, baseline) {
                (Some(own), Some(baseline)) if baseline > 0.0 && *peer != BASELINE => {
                    format!("{} ({:.2})", number(own, scenario.figure()), own / baseline)
                }
                (Some(own), _) => number(own, scenario.figure()),
                (None, _) => "–".into(),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_row_for_each_scenario_and_a_column_for_each_peer() {
        let run = |scenario: &str, peer: &str, name: &str, value: u32| {
            format!(r#"{{"round":1,"scenario":"{scenario}","peer":"{peer}","outcome":{{"{name}":{value}}}}}"#)
        };
        let lines = [
            run("echo", "node", "per_cpu_second", 1_000),
            run("echo", "bun", "per_cpu_second", 1_500),
            run("idle", "node", "kb_per_socket", 13),
            run("big-room", "bun", "per_cpu_second", 7_000),
        ];
        let text = table(&Results::parse(&lines.join("\n")));
        let rows = [
            "| scenario | figure | node | bun |",
            "|---|---|---|---|",
            "| idle | KB per socket | 13.0 | – |",
            "| echo | acknowledgements per server CPU second | 1,000 | 1,500 (1.50) |",
            "| big-room | deliveries per server CPU second | – | 7,000 |",
        ];
        assert!(text.ends_with(&format!("{}\n", rows.join("\n"))), "{text}");
    }
}
