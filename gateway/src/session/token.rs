//! The token of a CONNECT packet: `auth.token`, with or without `Bearer ` in front. It takes precedence over the
//! handshake's token.

use jackfield_shared::verify::strip_bearer;
use serde::Deserialize;

/// The token of a CONNECT packet's `auth` payload.
pub(super) fn auth_token(auth: Option<&str>) -> Option<String> {
    #[derive(Deserialize)]
    struct Auth {
        token: Option<String>,
    }
    let auth: Auth = serde_json::from_str(auth?).ok()?;
    auth.token.map(|token| strip_bearer(&token).to_owned()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_auth_payload_is_parsed_without_panic() {
        let auth = |json: &str| auth_token(Some(json));
        assert_eq!(auth(r#"{"token":"Bearer t","name":"x"}"#).as_deref(), Some("t"));
        for odd in [r#"{"token":7}"#, "[]", "null", r#"{"token":""}"#, "{"] {
            assert_eq!(auth(odd), None, "{odd}");
        }
    }
}
