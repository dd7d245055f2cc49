//! Compresses long answers to polls with gzip, if the client accepts it. WebSockets are not compressed.

use axum::http::{Extensions, HeaderMap, StatusCode, Version, header::CONTENT_LENGTH};
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, Predicate},
};

/// A layer that compresses bodies of at least `min` bytes; 0 for none.
pub(super) fn layer(min: u32) -> CompressionLayer<impl Predicate + Send + Sync> {
    let is_long = move |_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions| {
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        min > 0 && length.is_some_and(|length| length >= u64::from(min))
    };
    // The fastest level: by default there is one worker thread, and compression blocks it.
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(is_long)
}
