//! Reads a JSON body into a type. What is wrong with the body is one sentence that names the field by its path.
//!
//! Guarantees: only `application/json` (or a type whose suffix is `+json`) is read, and it must be one JSON object, at
//! most [`MAX_DEPTH`] levels deep: data that is passed on reaches clients in other languages, whose libraries accept
//! less depth; an error is bounded, however long the client's own text in it is. [`super::layers`] bounds the body's
//! size. Deliberately reports the first wrong field only, and does not know the rules for values.

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::layers::for_status;
use crate::{
    error_body::ErrorBody,
    json_depth::{MAX_DEPTH, is_deeper},
};

/// Most characters of an error, which may repeat the client's own text.
const MAX_SHOWN: usize = 200;

/// A body that was read. The fields that a type does not name are refused if it has `deny_unknown_fields`.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ErrorBody;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorBody> {
        match Json::<Box<RawValue>>::from_request(request, state).await {
            Ok(Json(json)) => parse(json.get()).map(Self),
            Err(rejection) => Err(unreadable(&rejection)),
        }
    }
}

fn unreadable(rejection: &JsonRejection) -> ErrorBody {
    match rejection {
        JsonRejection::MissingJsonContentType(_) | JsonRejection::BytesRejection(_) => for_status(rejection.status()),
        _ => wrong("body must be valid JSON"),
    }
}

/// `json` is valid JSON without blanks in front.
fn parse<T: DeserializeOwned>(json: &str) -> Result<T, ErrorBody> {
    // Serde would read an array as the list of a struct's fields.
    if !json.starts_with('{') {
        return Err(wrong("body must be a JSON object"));
    }
    if is_deeper(json.as_bytes(), MAX_DEPTH) {
        return Err(wrong(&format!("body must have at most {MAX_DEPTH} levels of objects and arrays")));
    }
    let mut json = serde_json::Deserializer::from_str(json);
    serde_path_to_error::deserialize(&mut json).map_err(|error| wrong(&explain(&error)))
}

fn wrong(message: &str) -> ErrorBody {
    let shown = message.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
    ErrorBody::validation(vec![shown])
}

/// Serde's error as a sentence: `users[1] must be a string`.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    let path = error.path().to_string();
    let is_root = path == ".";
    let name = if is_root { "body" } else { &path };
    // Serde names these by the field alone, and the path is that of their object.
    let in_object = |field: &str| {
        let field = field.trim_matches('`');
        if is_root { field.to_owned() } else { format!("{path}.{field}") }
    };
    let text = error.inner().to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if text.starts_with("unknown field ") {
        format!("property {path} should not exist")
    } else if let Some(field) = text.strip_prefix("duplicate field ") {
        format!("property {} should not be repeated", in_object(field))
    } else if let Some(field) = text.strip_prefix("missing field ") {
        format!("{} is required", in_object(field))
    } else if let Some((_, expected)) = text.rsplit_once(", expected ") {
        format!("{name} must be {}", in_json_words(expected))
    } else {
        format!("{name}: {text}")
    }
}

/// Serde's name of a type as JSON calls it.
fn in_json_words(expected: &str) -> &str {
    match expected {
        "a map" => "an object",
        "a sequence" => "an array",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body as RawBody, http::header::CONTENT_TYPE, routing::post};
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Map, Value, json};
    use tower::ServiceExt as _;

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Wanted {
        user_ids: Vec<String>,
        kind: Option<Kind>,
        limit: Option<u32>,
        data: Option<Map<String, Value>>,
        inner: Option<Inner>,
        raw: Option<Box<RawValue>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    enum Kind {
        Create,
        Update,
        Delete,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        name: String,
    }

    async fn answer(kind: &str, body: impl Into<RawBody>) -> (u16, Value) {
        let routes = Router::new().route("/", post(async |_: Body<Wanted>| "read"));
        let request = Request::post("/").header(CONTENT_TYPE, kind).body(body.into()).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn message(body: &str) -> String {
        let (status, body) = answer("application/json", body.to_owned()).await;
        assert_eq!((status, &body["code"]), (400, &"validation_failed".into()), "{body}");
        let [message] = body["message"].as_array().unwrap().as_slice() else { panic!("{body}") };
        message.as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn an_error_names_the_wrong_field_by_its_path() {
        for (body, expected) in [
            (r#"{"userIds":["a",1]}"#, "userIds[1] must be a string"),
            (r#"{"userIds":"a"}"#, "userIds must be an array"),
            (r#"{"userIds":null}"#, "userIds must be an array"),
            (r#"{}"#, "userIds is required"),
            (r#"{"userIds":[],"inner":{}}"#, "inner.name is required"),
            (r#"{"userIds":[],"inner":7}"#, "inner must be an object"),
            (r#"{"userIds":[],"inner":{"name":"n","x":1}}"#, "property inner.x should not exist"),
            (r#"{"userIds":[],"x, expected y":1}"#, "property x, expected y should not exist"),
            (r#"{"userIds":[],"userIds":[]}"#, "property userIds should not be repeated"),
            (r#"{"inner":{"name":"n","name":"n"}}"#, "property inner.name should not be repeated"),
            (r#"{"userIds":[],"data":[]}"#, "data must be an object"),
            (r#"{"userIds":[],"limit":-1}"#, "limit must be a whole number"),
            (r#"{"userIds":[],"kind":"REPLACE"}"#, "kind must be one of `CREATE`, `UPDATE`, `DELETE`"),
            ("[]", "body must be a JSON object"),
            (r#"[["a"],null,null,null,null,null]"#, "body must be a JSON object"),
            ("7", "body must be a JSON object"),
            ("", "body must be valid JSON"),
            ("{", "body must be valid JSON"),
            (r#"{"userIds":[]}1"#, "body must be valid JSON"),
        ] {
            assert_eq!(message(body).await, expected, "{body}");
        }
    }

    #[tokio::test]
    async fn nesting_and_the_length_of_an_error_are_bounded() {
        let nested = |levels| format!(r#"{{"userIds":[],"raw":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert_eq!(answer("application/json", nested(MAX_DEPTH - 1)).await.0, 200);
        for levels in [MAX_DEPTH, 8_000] {
            assert_eq!(message(&nested(levels)).await, "body must have at most 64 levels of objects and arrays");
        }
        let long = message(&format!(r#"{{"userIds":[],"\u0007{}":1}}"#, "x".repeat(1_000))).await;
        assert!(long.starts_with("property xxx") && long.len() == MAX_SHOWN, "{long}");
    }

    #[tokio::test]
    async fn only_json_is_read() {
        let good = json!({ "userIds": ["a"] }).to_string();
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert_eq!(answer(kind, format!(" \n{good} ")).await.0, 200, "{kind}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
            let (status, body) = answer(kind, good.clone()).await;
            assert_eq!((status, &body["code"]), (415, &"unsupported_media_type".into()), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn no_body_causes_a_panic(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Wanted>(&text);
            let _ = Json::<Box<RawValue>>::from_bytes(&bytes).map(|Json(json)| parse::<Wanted>(json.get()));
            let _ = parse::<Wanted>(&json!({ "userIds": [text], text.clone(): 1 }).to_string());
        }
    }
}
