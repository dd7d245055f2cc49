//! The Engine.IO parameters of a request, parsed once from its query and headers.

use axum::http::{HeaderMap, request::Parts};
use jackfield_shared::verify::strip_bearer;

/// The headers that a handshake may carry its token in, in order of precedence.
const TOKEN_HEADERS: [&str; 2] = ["authorization", "authentication"];

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP requests.
    Polling,
    /// A WebSocket.
    WebSocket,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// `None` if the request names no known transport.
    pub transport: Option<Transport>,
    /// Whether it speaks Engine.IO 4.
    pub is_version_4: bool,
    /// The session that the request belongs to; `None` if it begins one.
    pub sid: Option<Box<str>>,
    /// The token of a request that begins a session: from its `Authorization` header, its `authentication` header, or
    /// its `token` query parameter. `Bearer ` in front is optional everywhere.
    pub token: Option<Box<str>>,
}

impl Handshake {
    /// Parses a request.
    #[must_use]
    pub fn parse(request: &Parts) -> Self {
        let mut handshake = Self { transport: None, is_version_4: false, sid: None, token: None };
        let mut token = None;
        let query = request.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("transport", "polling") => handshake.transport = Some(Transport::Polling),
                ("transport", "websocket") => handshake.transport = Some(Transport::WebSocket),
                ("EIO", version) => handshake.is_version_4 = version == "4",
                ("sid", sid) => handshake.sid = Some(sid.into()),
                ("token", text) => token = present(text),
                _ => {}
            }
        }
        if handshake.sid.is_none() {
            handshake.token = header_token(&request.headers).or(token);
        }
        handshake
    }
}

fn header_token(headers: &HeaderMap) -> Option<Box<str>> {
    TOKEN_HEADERS.into_iter().find_map(|name| present(headers.get(name)?.to_str().ok()?))
}

fn present(text: &str) -> Option<Box<str>> {
    Some(strip_bearer(text)).filter(|token| !token.is_empty()).map(Into::into)
}

#[cfg(test)]
mod tests {
    use axum::http::{Request, request::Builder};
    use proptest::prelude::*;

    use super::*;

    fn of(request: Builder) -> Handshake {
        Handshake::parse(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_query_is_parsed() {
        let polling = of(Request::get("/socket.io/?EIO=4&transport=polling&t=x"));
        let new = Handshake { transport: Some(Transport::Polling), is_version_4: true, sid: None, token: None };
        assert_eq!(polling, new);
        let upgrade = of(Request::get("/?EIO=3&transport=websocket&sid=a%2Db&token=t"));
        let transport = Some(Transport::WebSocket);
        assert_eq!(upgrade, Handshake { transport, is_version_4: false, sid: Some("a-b".into()), token: None });
        assert_eq!(of(Request::get("/?transport=carrier-pigeon")).transport, None);
    }

    #[test]
    fn tokens_have_an_order_of_precedence_and_bearer_is_optional() {
        let all = || Request::get("/?EIO=4&token=Bearer%20q").header("authentication", "bearer b");
        assert_eq!(of(all().header("authorization", "Bearer a")).token.as_deref(), Some("a"));
        assert_eq!(of(all()).token.as_deref(), Some("b"));
        assert_eq!(of(Request::get("/?EIO=4&token=Bearer%20q")).token.as_deref(), Some("q"));
        assert_eq!(of(Request::get("/?EIO=4").header("authorization", "Bearer ")).token, None);
    }

    proptest! {
        #[test]
        fn any_query_parses_without_panic(query in "[ -~]{0,60}") {
            if let Ok(request) = Request::get(format!("/?{query}")).body(()) {
                let _ = Handshake::parse(&request.into_parts().0);
            }
        }
    }
}
