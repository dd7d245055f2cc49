//! The places where a client may send its token, in order of precedence.
//!
//! `auth.token` of the CONNECT packet, then the handshake's `Authorization` header, its `authentication` header, and
//! its `token` query parameter. `Bearer ` in front is optional everywhere.

use axum::http::{header::AUTHORIZATION, request::Parts};
use jackfield_shared::verify::strip_bearer;
use serde::Deserialize;

use crate::engine::Text;

/// The headers that a handshake may carry its token in.
const TOKEN_HEADERS: [&str; 2] = ["authorization", "authentication"];

/// The handshake's token, kept for the namespaces that the connection joins later. A copy, so that the request can go.
#[must_use]
pub fn handshake_token(request: &Parts) -> Option<Box<str>> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    debug_assert_eq!(TOKEN_HEADERS[0], AUTHORIZATION.as_str());
    let headers = TOKEN_HEADERS.into_iter().find_map(|name| header(name).and_then(present));
    headers.or_else(|| query_token(request.uri.query()?)).map(Into::into)
}

/// The token of a CONNECT packet's `auth` payload.
pub(super) fn auth_token(auth: Option<&Text>) -> Option<String> {
    #[derive(Deserialize)]
    struct Auth {
        token: Option<String>,
    }
    let auth: Auth = serde_json::from_str(auth?.as_str()).ok()?;
    auth.token.as_deref().and_then(present)
}

fn present(text: &str) -> Option<String> {
    Some(strip_bearer(text).to_owned()).filter(|token| !token.is_empty())
}

fn query_token(query: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Query {
        token: Option<String>,
    }
    let uri = format!("/?{query}").parse().ok()?;
    let query = axum::extract::Query::<Query>::try_from_uri(&uri).ok()?;
    query.0.token.as_deref().and_then(present)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn of(request: axum::http::request::Builder) -> Option<Box<str>> {
        handshake_token(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_first_place_wins_and_bearer_is_optional() {
        let all = || Request::get("/?EIO=4&token=Bearer%20q").header("authentication", "bearer b");
        assert_eq!(of(all().header("authorization", "Bearer a")).as_deref(), Some("a"));
        assert_eq!(of(all()).as_deref(), Some("b"));
        assert_eq!(of(Request::get("/?EIO=4&token=Bearer%20q")).as_deref(), Some("q"));
        assert_eq!(of(Request::get("/?EIO=4").header("authorization", "Bearer ")), None);
    }

    #[test]
    fn auth_payloads_of_any_kind_are_survived() {
        let auth = |json: &str| auth_token(Some(&Text::from(json.to_owned())));
        assert_eq!(auth(r#"{"token":"Bearer t","name":"x"}"#).as_deref(), Some("t"));
        for odd in [r#"{"token":7}"#, "[]", "null", r#"{"token":""}"#, "{"] {
            assert_eq!(auth(odd), None, "{odd}");
        }
    }
}
