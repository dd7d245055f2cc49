//! A JSON body that may be left out.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    response::IntoResponse as _,
};
use garde::Validate;
use jackfield_shared::{error_body::ErrorBody, http::layers::for_status};
use serde::de::DeserializeOwned;

use super::valid::Valid;

/// The body, or the default for an empty one and for `null`.
pub struct OptionalBody<T>(pub T);

impl<T, S> FromRequest<S> for OptionalBody<T>
where
    T: DeserializeOwned + Validate<Context = ()> + Default,
    S: Send + Sync,
{
    type Rejection = ErrorBody;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorBody> {
        let (parts, body) = request.into_parts();
        let unreadable = |rejection: BytesRejection| for_status(rejection.into_response().status());
        let bytes = Bytes::from_request(Request::new(body), state).await.map_err(unreadable)?;
        if bytes.is_empty() || bytes.trim_ascii() == b"null" {
            return Ok(Self(T::default()));
        }
        let Valid(input) = Valid::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self(input))
    }
}
