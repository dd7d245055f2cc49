//! Metrics: each declared once with its help text, cheap to update, and rendered for Prometheus.
//!
//! A service declares its list with [`metric_list!`](crate::metric_list) and passes it to [`install`]; [`process`] is
//! the list that every service has. Guarantees: every series of a list exists from the start, so that no rate begins
//! with a gap, except gauges by a label that the configuration names; counting is an atomic addition on a handle that
//! is made once; labels come from closed lists or the configuration, and any other value counts as `other` if the list
//! has it, else not at all: no client's text is exported. Deliberately no summaries: they do not add up over nodes.

mod family;
pub mod process;

use std::{
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

pub use self::family::{Counter, Family, FloatCounter, Gauge, Histogram, Kind, Label, Listed};
use crate::lifecycle::Lifecycle;

/// Upper bounds of every histogram, in seconds: one set, so that all of them can be compared and added.
pub const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The label value for all values that are not in the list.
pub const OTHER: &str = "other";

/// How often samples are moved into their buckets, so that they do not pile up while nobody scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

type List = &'static [&'static dyn Listed];

static LISTS: LazyLock<Mutex<Vec<List>>> = LazyLock::new(Mutex::default);

/// Makes a service's metrics appear in [`render`], at zero, and keeps their memory small until the lifecycle ends. A
/// second call in one process does no harm.
pub fn install(list: List, lifecycle: &Lifecycle) {
    for list in [process::METRICS, list] {
        let mut lists = LISTS.lock();
        if !lists.iter().any(|other| std::ptr::eq(*other, list)) {
            list.iter().for_each(|metric| metric.register());
            lists.push(list);
        }
    }
    let stopping = lifecycle.stopping();
    lifecycle.spawn(process::measure_delay(stopping.clone()));
    lifecycle.spawn(async move {
        while stopping.run_until_cancelled(tokio::time::sleep(UPKEEP_EVERY)).await.is_some() {
            if let Some(recorder) = recorder() {
                recorder.run_upkeep();
            }
        }
    });
}

/// Everything that is installed, in Prometheus's text format.
#[must_use]
pub fn render() -> String {
    process::sample();
    let mut text = recorder().map(PrometheusHandle::render).unwrap_or_default();
    for metric in LISTS.lock().iter().copied().flatten() {
        metric.write(&mut text);
    }
    text
}

/// The content type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

/// The lists as a table in Markdown.
#[must_use]
pub fn markdown_table(list: &[&dyn Listed]) -> String {
    let mut table = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in list {
        let labels: Vec<String> = metric.labels().iter().map(Label::markdown).collect();
        let (name, kind, help) = (metric.name(), metric.kind().as_str(), metric.help());
        table += &format!("| `{name}` | {kind} | {} | {help} |\n", labels.join("; "));
    }
    table
}

/// The process's recorder, made on first use; `None` if another library has installed one.
fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?.install_recorder().ok();
    RECORDER.get_or_init(install).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::metric_list! {
        /// Things done, by outcome.
        Counter DONE = "test_done_total" by outcome in &["ok", "failed", OTHER];
        /// How many there are.
        Gauge THERE = "test_there";
        /// How long it takes.
        Histogram TAKES = "test_takes_seconds" by what in &["this"];
        /// Seconds worked.
        FloatCounter WORKED = "test_worked_seconds_total";
    }

    fn value(text: &str, series: &str) -> Option<f64> {
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line?.rsplit(' ').next()?.parse().ok()
    }

    #[tokio::test]
    async fn every_series_is_there_from_the_start_and_counts() {
        let lifecycle = Lifecycle::new();
        install(METRICS, &lifecycle);
        let text = render();
        for series in [
            "test_done_total{outcome=\"ok\"}",
            "test_done_total{outcome=\"other\"}",
            "test_there",
            "test_takes_seconds_count{what=\"this\"}",
            "test_takes_seconds_bucket{what=\"this\",le=\"0.0001\"}",
            "test_worked_seconds_total",
        ] {
            assert_eq!(value(&text, series), Some(0.0), "{series} in\n{text}");
        }
        assert!(text.contains("# HELP test_done_total Things done, by outcome.\n# TYPE test_done_total counter\n"));

        DONE.add_for(["ok"], 2);
        DONE.add_for(["a client's text"], 3);
        THERE.set(7);
        TAKES.record_for(["this"], Duration::from_micros(700));
        TAKES.record_for(["a client's text"], Duration::from_micros(700));
        WORKED.set(1.5);
        let text = render();
        for (series, expected) in [
            ("test_done_total{outcome=\"ok\"}", 2.0),
            ("test_done_total{outcome=\"failed\"}", 0.0),
            ("test_done_total{outcome=\"other\"}", 3.0),
            ("test_there", 7.0),
            ("test_takes_seconds_bucket{what=\"this\",le=\"0.0005\"}", 0.0),
            ("test_takes_seconds_bucket{what=\"this\",le=\"0.001\"}", 1.0),
            ("test_takes_seconds_count{what=\"this\"}", 1.0),
            ("test_worked_seconds_total", 1.5),
        ] {
            assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
        }
        assert!(!text.contains("client"), "{text}");
        assert!(value(&text, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0), "{text}");
        assert!(lifecycle.finish(Duration::from_secs(5)).await);
    }

    #[test]
    fn the_table_names_kinds_and_labels() {
        let table = markdown_table(METRICS);
        let row = "| `test_done_total` | counter | `outcome`: `ok`, `failed`, `other` | Things done, by outcome. |";
        assert!(table.contains(row), "{table}");
    }
}
