//! Reads the body of a polling client's POST.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, header::CONTENT_LENGTH},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::failure::Failure;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Reads a body of at most `max` bytes. A longer one is refused as soon as that is known; one that does not arrive
/// within 30 s, or before `over`, is abandoned.
pub(crate) async fn read(
    request: Request<Body>,
    max: usize,
    over: impl Future<Output = ()> + Send,
) -> Result<Bytes, Failure> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Failure::TooLarge);
    }
    let reading = tokio::time::timeout(BODY_WITHIN, Limited::new(request.into_body(), max).collect());
    let body = tokio::select! {
        read = reading => read.map_err(|_| Failure::TooLate)?,
        () = over => return Err(Failure::UnknownSession),
    };
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Failure::TooLarge,
        None => Failure::BadRequest,
    })?;
    Ok(body.to_bytes())
}
