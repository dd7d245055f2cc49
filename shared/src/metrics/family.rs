//! One metric with all its series.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{OTHER, recorder};

/// Only grows.
pub type Counter = metrics::Counter;
/// Goes up and down.
pub type Gauge = metrics::Gauge;
/// Durations, counted in [`super::BUCKETS`].
pub type Histogram = metrics::Histogram;

/// Only grows, also by fractions: for seconds that another component counts.
#[derive(Default)]
pub struct FloatCounter(AtomicU64);

/// A metric's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets, with their sum and count.
    Histogram,
}

/// A label and its closed list of values.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All values; empty if the configuration names them.
    pub values: &'static [&'static str],
}

/// The common interface of all metrics.
pub trait Listed: Sync {
    /// The name in Prometheus, which includes the unit.
    fn name(&self) -> &'static str;
    /// Its kind.
    fn kind(&self) -> Kind;
    /// One sentence.
    fn help(&self) -> &'static str;
    /// Its labels.
    fn labels(&self) -> &'static [Label];
    /// Makes every series exist.
    fn register(&self);
    /// Appends the series that the recorder does not hold to the rendered text.
    fn write(&self, text: &mut String);
}

/// A metric: a series for each combination of its labels' values.
pub struct Family<S> {
    name: &'static str,
    help: &'static str,
    labels: &'static [Label],
    series: OnceLock<Box<[S]>>,
}

/// One kind of series.
pub trait Series: Sync + Send + Sized {
    /// The metric's kind.
    const KIND: Kind;
    /// The series of these labels.
    fn make(name: &'static str, help: &'static str, labels: Vec<metrics::Label>) -> Self;
    /// The value, if the recorder does not hold it.
    fn value(&self) -> Option<f64> {
        None
    }
}

impl<S: Series> Family<S> {
    /// Not registered yet; see [`metric_list!`](crate::metric_list).
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, labels: &'static [Label]) -> Self {
        Self { name, help: help.trim_ascii(), labels, series: OnceLock::new() }
    }

    fn series(&self) -> &[S] {
        self.series.get_or_init(|| {
            // Installed before any handle is made: a handle without a recorder counts nothing.
            recorder();
            let count = self.labels.iter().map(|label| label.values.len()).product();
            (0..count).map(|index| S::make(self.name, self.help, labels_of(self.labels, index))).collect()
        })
    }

    /// The series of a `value` that the configuration names, for a metric whose first label it is: one for each
    /// combination of the other labels' values, in their order. The caller keeps them.
    #[must_use]
    pub fn configured(&self, value: &str) -> Vec<S> {
        let [Label { name, .. }, others @ ..] = self.labels else { return Vec::new() };
        recorder();
        let count = others.iter().map(|label| label.values.len()).product();
        let series = |index| {
            let mut labels = vec![metrics::Label::new(*name, value.to_owned())];
            labels.extend(labels_of(others, index));
            S::make(self.name, self.help, labels)
        };
        (0..count).map(series).collect()
    }

    fn find<const N: usize>(&self, values: [&str; N]) -> Option<&S> {
        let mut index = 0;
        for (label, value) in self.labels.iter().zip(values) {
            let position = |value| label.values.iter().position(|known| *known == value);
            index = index * label.values.len() + position(value).or_else(|| position(OTHER))?;
        }
        self.series().get(index)
    }
}

/// The labels of the series with this index.
fn labels_of(all: &[Label], mut index: usize) -> Vec<metrics::Label> {
    let mut labels = Vec::with_capacity(all.len());
    for label in all.iter().rev() {
        labels.push(metrics::Label::from_static_parts(label.name, label.values[index % label.values.len()]));
        index /= label.values.len();
    }
    labels.reverse();
    labels
}

impl Family<Counter> {
    /// Adds `count`.
    pub fn add(&self, count: usize) {
        self.add_for([], count);
    }

    /// Adds `count` to the series of these labels.
    pub fn add_for<const N: usize>(&self, labels: [&str; N], count: usize) {
        if let Some(series) = self.find(labels) {
            series.increment(count as u64);
        }
    }
}

impl Family<Gauge> {
    /// Sets the value.
    pub fn set(&self, count: usize) {
        self.set_for([], count);
    }

    /// Sets the series of these labels.
    pub fn set_for<const N: usize>(&self, labels: [&str; N], count: usize) {
        if let Some(series) = self.find(labels) {
            series.set(count as f64);
        }
    }

    /// Sets the series of a `value` that the configuration names, for a metric with one label.
    pub fn set_configured(&self, value: &str, count: usize) {
        if let [Label { name, .. }] = self.labels {
            recorder();
            metrics::describe_gauge!(self.name, self.help);
            metrics::gauge!(self.name, vec![metrics::Label::new(*name, value.to_owned())]).set(count as f64);
        }
    }
}

impl Family<Histogram> {
    /// Records one duration.
    pub fn record(&self, took: Duration) {
        self.record_for([], took);
    }

    /// Records one duration in the series of these labels.
    pub fn record_for<const N: usize>(&self, labels: [&str; N], took: Duration) {
        if let Some(series) = self.find(labels) {
            series.record(took.as_secs_f64());
        }
    }
}

impl Family<FloatCounter> {
    /// Sets the total so far.
    pub fn set(&self, total: f64) {
        if let Some(FloatCounter(bits)) = self.find([]) {
            bits.store(total.to_bits(), Ordering::Relaxed);
        }
    }
}

impl<S: Series> Listed for Family<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn kind(&self) -> Kind {
        S::KIND
    }

    fn help(&self) -> &'static str {
        self.help
    }

    fn labels(&self) -> &'static [Label] {
        self.labels
    }

    fn register(&self) {
        self.series();
    }

    fn write(&self, text: &mut String) {
        for value in self.series().iter().filter_map(Series::value) {
            let Self { name, help, .. } = self;
            *text += &format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n\n");
        }
    }
}

macro_rules! recorded {
    ($($series:ident: $describe:ident, $make:ident;)+) => {$(
        impl Series for $series {
            const KIND: Kind = Kind::$series;

            fn make(name: &'static str, help: &'static str, labels: Vec<metrics::Label>) -> Self {
                metrics::$describe!(name, help);
                metrics::$make!(name, labels)
            }
        }
    )+};
}

recorded! {
    Counter: describe_counter, counter;
    Gauge: describe_gauge, gauge;
    Histogram: describe_histogram, histogram;
}

impl Series for FloatCounter {
    const KIND: Kind = Kind::Counter;

    fn make(_: &'static str, _: &'static str, _: Vec<metrics::Label>) -> Self {
        Self::default()
    }

    fn value(&self) -> Option<f64> {
        Some(f64::from_bits(self.0.load(Ordering::Relaxed)))
    }
}

impl Kind {
    /// As Prometheus writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Label {
    /// `name`: `value`, `value`.
    #[must_use]
    pub fn markdown(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|value| format!("`{value}`")).collect();
        match values.is_empty() {
            true => format!("`{}`: as configured", self.name),
            false => format!("`{}`: {}", self.name, values.join(", ")),
        }
    }
}

/// Declares a service's metrics, and `METRICS`, the list of them. The doc comment is the help text, one sentence; the
/// values of a label are a slice, empty if the configuration names them.
///
/// ```
/// jackfield_shared::metric_list! {
///     /// Requests answered, by outcome.
///     Counter REQUESTS = "demo_requests_total" by outcome in &["ok", "failed"];
/// }
/// # fn main() {
/// REQUESTS.add_for(["ok"], 1);
/// # }
/// ```
#[macro_export]
macro_rules! metric_list {
    ($($(#[doc = $help:literal])+ $kind:ident $name:ident = $metric:literal
        $(by $label:ident in $values:expr $(, $more:ident in $more_values:expr)*)?;)+) => {
        $(
            $(#[doc = $help])+
            pub static $name: $crate::metrics::Family<$crate::metrics::$kind> = $crate::metrics::Family::new(
                $metric,
                concat!($($help),+),
                &[$(
                    $crate::metrics::Label { name: stringify!($label), values: $values },
                    $($crate::metrics::Label { name: stringify!($more), values: $more_values },)*
                )?],
            );
        )+
        /// All metrics of this list.
        pub static METRICS: &[&dyn $crate::metrics::Listed] = &[$(&$name),+];
    };
}
