//! Checks that the metrics, their documents, and the rules and dashboards that query them use the same names.
//!
//! It is here because no other crate knows both services.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use jackfield_shared::metrics::{Kind, Listed, markdown_table, process};
use serde_json::Value;

const LISTS: [(&str, &[&dyn Listed]); 4] = [
    ("Gateway", jackfield_gateway::metrics::METRICS),
    ("Gateway, back end", jackfield_cluster::metrics::METRICS),
    ("Auth service", jackfield_auth::metrics::METRICS),
    ("Every process", process::METRICS),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn metrics() -> impl Iterator<Item = &'static dyn Listed> {
    LISTS.iter().flat_map(|(_, list)| list.iter().copied())
}

/// The text after `key` in each line that begins with it, with or without `- `.
fn values<'a>(yaml: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    yaml.lines().filter_map(move |line| line.trim_start().trim_start_matches("- ").strip_prefix(key)).map(str::trim)
}

/// All names that a query may use: histograms by their parts.
fn known() -> HashSet<String> {
    let mut names: HashSet<String> = ["up".into()].into();
    for metric in metrics() {
        let parts: &[&str] = if metric.kind() == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        names.extend(parts.iter().map(|part| format!("{}{part}", metric.name())));
    }
    names.extend(values(&read("deploy/prometheus/rules/recording.yml"), "record:").map(str::to_owned));
    names
}

/// The words of a query, or of a file of them, that name a metric of ours.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_:".contains(c)));
    words.filter(|word| ["jackfield_", "jackfield:", "process_"].iter().any(|prefix| word.starts_with(prefix)))
}

fn expressions(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            found.extend(fields.get("definition").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| expressions(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn rules_and_dashboards_query_existing_metrics() {
    let known = known();
    let mut queried = Vec::new();
    for file in ["rules/recording.yml", "rules/alerts.yml", "tests/alerts.yml"] {
        queried
            .extend(named(&read(&format!("deploy/prometheus/{file}"))).map(|name| (file.to_owned(), name.to_owned())));
    }
    let dashboards: Vec<PathBuf> = fs::read_dir(repository().join("deploy/grafana/dashboards"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert!(dashboards.len() >= 3, "{dashboards:?}");
    for path in dashboards {
        let mut found = Vec::new();
        expressions(&serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap(), &mut found);
        queried.extend(
            found.iter().flat_map(|text| named(text)).map(|name| (path.display().to_string(), name.to_owned())),
        );
    }
    let unknown: Vec<_> = queried.iter().filter(|(_, name)| !known.contains(name)).collect();
    assert!(queried.len() > 100 && unknown.is_empty(), "of {} names these do not exist: {unknown:?}", queried.len());
}

#[test]
fn every_metric_is_documented() {
    let mut wanted = String::from(
        "# Metrics\n\nEvery metric, generated from the code. Each process serves them at `/metrics` on its internal port. \
         Histograms are in seconds.\n",
    );
    for (title, list) in LISTS {
        wanted += &format!("\n## {title}\n\n{}", markdown_table(list));
    }
    assert!(read("deploy/prometheus/METRICS.md") == wanted, "deploy/prometheus/METRICS.md must be\n\n{wanted}");
}

#[test]
fn names_are_unique_and_end_in_their_unit() {
    let mut names = HashSet::new();
    for metric in metrics() {
        let name = metric.name();
        assert!(names.insert(name), "{name} is declared twice");
        assert!(name.starts_with("jackfield_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
        assert_eq!(
            name.ends_with("_seconds"),
            metric.kind() == Kind::Histogram || name == "process_start_time_seconds"
        );
        assert!(metric.help().ends_with('.') && !metric.help().contains("  "), "{name}: {}", metric.help());
    }
}

#[test]
fn every_alert_is_tested_and_documented() {
    let rules = read("deploy/prometheus/rules/alerts.yml");
    let (tests, readme) = (read("deploy/prometheus/tests/alerts.yml"), read("README.md"));
    let alerts: Vec<&str> = values(&rules, "alert:").collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    // A test in which the alert fires gives its labels.
    let fires =
        |alert: &str| tests.contains(&format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels"));
    for alert in &alerts {
        assert!(fires(alert), "no test in which {alert} fires");
        assert!(tests.contains(&format!("alertname: {alert}, exp_alerts: []")), "no test in which {alert} is silent");
    }
    let table = readme.split("<!-- alerts -->").nth(1).unwrap().split("<!-- /alerts -->").next().unwrap();
    let listed = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(listed.collect::<Vec<_>>(), alerts, "README's table, in the order of the rules");
}
