//! Corrects the library's error responses, whose codes are text.

use axum::{
    body::Body,
    http::{Response, StatusCode, header::CONTENT_TYPE},
};
use http_body_util::BodyExt as _;

use crate::failure::Failure;

/// Rewrites the codes of the library's error responses, which are text, as numbers.
pub(super) async fn with_numeric_codes(response: Response<Body>) -> Response<Body> {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if response.status() != StatusCode::BAD_REQUEST || !is_json {
        return response;
    }
    let (parts, body) = response.into_parts();
    // The body is in memory, and short.
    let Ok(body) = body.collect().await else { return Failure::BadRequest.response() };
    let Ok(mut error) = serde_json::from_slice::<serde_json::Value>(&body.to_bytes()) else {
        return Failure::BadRequest.response();
    };
    if let Some(code) = error["code"].as_str().and_then(|code| code.parse::<u8>().ok()) {
        error["code"] = code.into();
    }
    Response::from_parts(parts, Body::from(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn codes_become_numbers() {
        let library = Response::builder().status(400).header(CONTENT_TYPE, "application/json");
        let library = library.body(Body::from(r#"{"code":"1","message":"Session ID unknown"}"#)).unwrap();
        let body = with_numeric_codes(library).await.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&*body, br#"{"code":1,"message":"Session ID unknown"}"#);
    }
}
