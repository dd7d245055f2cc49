//! The answers to polls, compressed with gzip where the client accepts it and they are long. WebSockets are not.

use axum::http::{Extensions, HeaderMap, StatusCode, Version, header::CONTENT_LENGTH};
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, Predicate},
};

/// A layer that compresses bodies from `least` bytes on; 0 for none.
pub(super) fn layer(least: u32) -> CompressionLayer<impl Predicate + Send + Sync> {
    let is_long = move |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        least > 0 && length.is_some_and(|length| length >= u64::from(least))
    };
    // The fastest: an answer holds the only thread up for as long as it takes.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_long)
}
