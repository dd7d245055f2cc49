//! The ids of a span, as they are sent to another node along with the work, or come with a request.

use opentelemetry::{
    Context, SpanId, TraceId,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::is_on;

/// The ids of a recorded span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    trace: TraceId,
    span: SpanId,
}

impl Origin {
    /// Bytes of [`Origin::to_bytes`].
    pub const LENGTH: usize = 24;

    /// Of the current span, if it is recorded.
    #[must_use]
    pub fn current() -> Option<Self> {
        if !is_on() {
            return None;
        }
        Context::map_current(|context| Self::of(context.span().span_context()))
    }

    /// From a request's `traceparent`, if its sender records the trace.
    #[must_use]
    pub fn of_headers(headers: &axum::http::HeaderMap) -> Option<Self> {
        if !is_on() {
            return None;
        }
        let extractor = HeaderExtractor(headers);
        // Most requests have none: checking for the header is cheaper than parsing.
        extractor.get("traceparent")?;
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor);
        Self::of(context.span().span_context())
    }

    /// As the header `traceparent` holds it, for a request that continues the trace.
    #[must_use]
    pub fn traceparent(self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    /// The trace's id, then the span's.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..16].copy_from_slice(&self.trace.to_bytes());
        bytes[16..].copy_from_slice(&self.span.to_bytes());
        bytes
    }

    /// The reverse of [`Origin::to_bytes`]; `None` if either id is invalid.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Option<Self> {
        let (trace, span) = bytes.split_first_chunk::<16>()?;
        let origin = Self { trace: TraceId::from_bytes(*trace), span: SpanId::from_bytes(span.try_into().ok()?) };
        (origin.trace != TraceId::INVALID && origin.span != SpanId::INVALID).then_some(origin)
    }

    fn of(span: &SpanContext) -> Option<Self> {
        span.is_sampled().then(|| Self { trace: span.trace_id(), span: span.span_id() })
    }
}

impl From<Origin> for SpanContext {
    fn from(origin: Origin) -> Self {
        Self::new(origin.trace, origin.span, TraceFlags::SAMPLED, true, TraceState::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_round_trip(bytes: [u8; Origin::LENGTH]) {
            if let Some(origin) = Origin::from_bytes(bytes) {
                prop_assert_eq!(origin.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn the_header_has_both_ids_in_hex() {
        let bytes: Vec<u8> = (1..=24).collect();
        let origin = Origin::from_bytes(bytes.try_into().unwrap()).unwrap();
        assert_eq!(origin.traceparent(), "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01");
    }

    #[test]
    fn invalid_ids_are_no_origin() {
        assert_eq!(Origin::from_bytes([0; Origin::LENGTH]), None);
    }
}
