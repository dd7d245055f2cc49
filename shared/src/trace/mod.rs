//! Traces: what happens to one message on all nodes, told to an OpenTelemetry collector.
//!
//! A piece of work that is recorded is a [`Span`], and is done [`within`] it; what is begun there is its
//! [child](Span::child), and its [`Origin`] goes along to where the work goes on. Guarantees: who asks for a span gets none
//! where nothing is exported or this trace is not sampled, at the cost of a look at a variable, and then nothing of it
//! costs anything; exporting holds nobody up, what a collector does not take in time is dropped. Lines that are logged
//! within a span carry its trace's id. Deliberately holds nothing that clients write but names of rooms and events.

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

/// This process's, once something is exported.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// A piece of work that is recorded, from here to where it is dropped. As small as a pointer, because it waits in queues.
pub struct Span(Box<Recorded>);

struct Recorded {
    context: Context,
    /// What log lines within it say; only of the first span in this process, which the others are within.
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

/// Does `work` within `span`, where there is one.
pub async fn within<F: Future>(span: Option<Span>, work: F) -> F::Output {
    match span {
        None => work.await,
        Some(span) => work.with_context(span.0.context.clone()).instrument(span.0.line.clone()).await,
    }
}

/// Notes something about the span that this is within, where there is one.
pub fn note(key: &'static str, value: impl Into<Value>) {
    if is_on() {
        Context::map_current(|context| context.span().set_attribute(KeyValue::new(key, value)));
    }
}

/// Gives the span that this is within, where there is one, the name that it turned out to have.
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
    /// The first of a new trace, where it is sampled: work that somebody outside asked for.
    #[must_use]
    pub fn begin(name: impl FnOnce() -> Cow<'static, str>) -> Option<Self> {
        let tracer = TRACER.get()?;
        Self::start(tracer, name(), SpanKind::Server, &Context::new()).map(Self::with_line)
    }

    /// The first on this node of work that was begun elsewhere.
    #[must_use]
    pub fn follow(origin: Option<Origin>, name: impl Into<Cow<'static, str>>, kind: SpanKind) -> Option<Self> {
        let (origin, tracer) = (origin?, TRACER.get()?);
        let parent = Context::new().with_remote_span_context(origin.into());
        Self::start(tracer, name, kind, &parent).map(Self::with_line)
    }

    /// A part of the span that this is within; nothing where there is none.
    #[must_use]
    pub fn child(name: &'static str, kind: SpanKind) -> Option<Self> {
        let tracer = TRACER.get()?;
        Context::map_current(|context| {
            context.span().span_context().is_sampled().then(|| Self::start(tracer, name, kind, context))
        })?
    }

    /// Notes something about it.
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

    /// At the level that no filter leaves out.
    fn with_line(mut self) -> Self {
        self.0.line = tracing::error_span!("trace", trace_id = %self.0.context.span().span_context().trace_id());
        self
    }
}
