//! Reads a JSON body; an error names the path of the wrong field.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use jackfield_shared::http::layers::for_status;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::json_depth::{MAX_DEPTH, is_deeper};

/// Most characters of an error, which may repeat the caller's own text.
const SHOWN: usize = 200;

/// A body that was read.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(for_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response());
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|refused| for_status(refused.status()).into_response())?;
        parse(&bytes).map(Self).map_err(IntoResponse::into_response)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Data that is passed on as it was written reaches clients in other languages, whose libraries take less depth.
    if is_deeper(bytes, MAX_DEPTH) {
        return Err(ApiError::wrong(format!("body: at most {MAX_DEPTH} levels of objects and arrays")));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let text = error.inner().to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        // Text that is no JSON at all has no path.
        let whole = if path == "." || path == "?" { format!("body: {what}") } else { format!("{path}: {what}") };
        ApiError::wrong(whole.chars().take(SHOWN).collect::<String>())
    })?;
    json.end().map_err(|_| ApiError::wrong("body: more than one JSON value"))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        users: Vec<String>,
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let said = |body: &str| match parse::<Wanted>(body.as_bytes()) {
            Err(ApiError::Validation(messages)) => messages.concat(),
            other => panic!("{other:?}"),
        };
        assert!(said(r#"{"users":["a",1]}"#).starts_with("users[1]: invalid type"));
        assert!(said(r#"{"users":[],"x":1}"#).starts_with("x: unknown field `x`"), "{}", said(r#"{"users":[],"x":1}"#));
        assert!(said("{}").starts_with("body: missing field `users`"));
        assert!(said("{").starts_with("body: "));
        assert!(said(r#"{"users":[]}1"#).starts_with("body: more"));
        let deep = format!(r#"{{"users":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
        assert_eq!(said(&deep), "body: at most 64 levels of objects and arrays");
        assert!(said(&format!(r#"{{"users":[],"{}":1}}"#, "x".repeat(1_000))).len() <= SHOWN);
    }
}
