//! Traces: the path of one message over all nodes, sent to an OpenTelemetry collector.
//!
//! A recorded piece of work is a [`Span`] and runs [`within`] it; work that begins there is its [child](Span::child),
//! and its [`Origin`] is sent along to the node that continues the work. Guarantees: no span is made if nothing is
//! exported, at the cost of reading a variable, or if the trace is not sampled, which its first span decides; exporting
//! blocks no other work: spans that the collector does not accept in time are dropped. Lines that are logged within a
//! span carry its trace's id. Deliberately holds no text of clients but names of events and namespaces, and request
//! ids; and is not built on `tracing` spans: `tracing-opentelemetry` makes a span of every span that is logged, and
//! allocates for each before it samples.

mod export;
mod origin;

use std::{borrow::Cow, future::Future, sync::OnceLock};

use opentelemetry::{
    Context, KeyValue, Value,
    trace::{FutureExt as _, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::Instrument as _;

pub use opentelemetry::trace::SpanKind;

pub use self::{
    export::{OtelSettings, install},
    origin::Origin,
};

/// This process's tracer, once something is exported.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// A recorded piece of work, which ends when this is dropped. As small as a pointer, because it waits in queues.
pub struct Span(Box<Recorded>);

struct Recorded {
    context: Context,
    /// Adds the trace's id to log lines; only on the first span in this process, which encloses the others.
    line: tracing::Span,
}

/// Whether anything can be recorded in this process.
#[must_use]
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Whether this is within a span.
#[must_use]
pub fn is_within() -> bool {
    is_on() && Context::map_current(|context| context.span().span_context().is_sampled())
}

/// Does `work` within `span`, if there is one.
pub async fn within<F: Future>(span: Option<Span>, work: F) -> F::Output {
    match span {
        None => work.await,
        Some(span) => work.with_context(span.0.context.clone()).instrument(span.0.line.clone()).await,
    }
}

/// Sets an attribute of the current span, if there is one.
pub fn note(key: &'static str, value: impl Into<Value>) {
    if is_on() {
        Context::map_current(|context| context.span().set_attribute(KeyValue::new(key, value)));
    }
}

/// Renames the current span, if there is one, once its final name is known.
pub fn rename(name: impl FnOnce() -> Cow<'static, str>) {
    if is_on() {
        Context::map_current(|context| {
            if context.span().is_recording() {
                context.span().update_name(name());
            }
        });
    }
}

impl Span {
    /// The first span of a new trace, if it is sampled: for work that is requested from outside.
    #[must_use]
    pub fn begin(name: impl FnOnce() -> Cow<'static, str>) -> Option<Self> {
        let tracer = TRACER.get()?;
        Self::start(tracer, name(), SpanKind::Server, &Context::new()).map(Self::with_line)
    }

    /// The first span on this node of work that began elsewhere.
    #[must_use]
    pub fn follow(origin: Option<Origin>, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Option<Self> {
        let (origin, tracer) = (origin?, TRACER.get()?);
        let parent = Context::new().with_remote_span_context(origin.into());
        Self::start(tracer, name, kind, &parent).map(Self::with_line)
    }

    /// A child of the current span, if there is one.
    #[must_use]
    pub fn child(name: &'static str, kind: SpanKind) -> Option<Self> {
        let tracer = TRACER.get()?;
        Context::map_current(|context| {
            context.span().span_context().is_sampled().then(|| Self::start(tracer, name, kind, context))
        })?
    }

    /// Sets an attribute.
    #[must_use]
    pub fn with(self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.context.span().set_attribute(KeyValue::new(key, value));
        self
    }

    fn start(tracer: &SdkTracer, name: impl Into<Cow<'static, str>>, kind: SpanKind, parent: &Context) -> Option<Self> {
        let span = tracer.span_builder(name).with_kind(kind).start_with_context(tracer, parent);
        let context = parent.with_span(span);
        let sampled = context.span().span_context().is_sampled();
        sampled.then(|| Self(Box::new(Recorded { context, line: tracing::Span::none() })))
    }

    /// At error level, which passes every filter but `off`.
    fn with_line(mut self) -> Self {
        self.0.line = tracing::error_span!("trace", trace_id = %self.0.context.span().span_context().trace_id());
        self
    }
}
