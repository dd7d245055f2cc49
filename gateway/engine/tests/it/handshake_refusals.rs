//! Requests that begin no connection. Each is answered, and gives its permit back.

use jackfield_engine::EngineKind;

use crate::harness::{Server, WebSocket, for_each_engine, handshake_headers, limits};

for_each_engine!(
    errors_have_the_codes_that_clients_know,
    an_invalid_websocket_handshake_is_refused,
    an_invalid_handshake_of_an_upgrade_leaves_the_session_alone,
    other_methods_are_refused_and_leave_the_session_alone,
);

const UNKNOWN_TRANSPORT: u64 = 0;
const UNKNOWN_SESSION: u64 = 1;
const BAD_METHOD: u64 = 2;
const BAD_REQUEST: u64 = 3;
const UNKNOWN_VERSION: u64 = 5;

async fn errors_have_the_codes_that_clients_know(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let of_websocket = server.websocket().await;
    drop(server.session().await);
    for (method, query, code) in [
        ("GET", "EIO=4&transport=pigeon", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4", UNKNOWN_TRANSPORT),
        ("GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", UNKNOWN_SESSION),
        ("GET", "EIO=4&transport=polling&sid=x", UNKNOWN_SESSION),
        ("GET", "EIO=4&transport=polling&sid=", UNKNOWN_SESSION),
        ("GET", "EIO=4&transport=polling&sid=%C3%A4", UNKNOWN_SESSION),
        ("POST", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", UNKNOWN_SESSION),
        ("POST", "EIO=4&transport=polling", BAD_METHOD),
        ("PUT", "EIO=4&transport=polling", BAD_METHOD),
        ("DELETE", "EIO=4&transport=polling", BAD_METHOD),
        ("POST", "EIO=4&transport=websocket", BAD_METHOD),
        ("GET", "EIO=4&transport=websocket", BAD_REQUEST),
        ("GET", "EIO=3&transport=polling", UNKNOWN_VERSION),
        ("GET", "EIO=5&transport=polling", UNKNOWN_VERSION),
        ("GET", "EIO=abc&transport=polling", UNKNOWN_VERSION),
        ("GET", "transport=polling", UNKNOWN_VERSION),
    ] {
        println!("{method} {query}");
        server.request(method, query).await.is_error(code);
    }
    for (query, code) in [
        ("EIO=3&transport=websocket", UNKNOWN_VERSION),
        ("transport=websocket", UNKNOWN_VERSION),
        ("EIO=4&transport=pigeon", UNKNOWN_TRANSPORT),
        ("EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA", UNKNOWN_SESSION),
    ] {
        println!("WebSocket {query}");
        let target = format!("/socket.io/?{query}");
        WebSocket::handshake(server.address, &target, &handshake_headers(), b"").await.0.is_error(code);
    }
    assert_eq!(server.opened(), 0);
    server.permits_are_back().await;
    drop(of_websocket);
}

/// Changes to a valid handshake, which make it invalid.
fn invalid() -> Vec<(&'static str, Option<&'static str>)> {
    vec![
        ("Upgrade", None),
        ("Upgrade", Some("h2c")),
        ("Connection", None),
        ("Connection", Some("keep-alive")),
        ("Connection", Some("Upgraded")),
        ("Sec-WebSocket-Version", None),
        ("Sec-WebSocket-Version", Some("8")),
        ("Sec-WebSocket-Version", Some("14")),
        ("Sec-WebSocket-Version", Some("x")),
        ("Sec-WebSocket-Key", None),
        ("Sec-WebSocket-Key", Some("")),
        ("Sec-WebSocket-Key", Some("short")),
        ("Sec-WebSocket-Key", Some("!!!!!!!!!!!!!!!!!!!!!!==")),
        // 15 and 17 bytes.
        ("Sec-WebSocket-Key", Some("AAAAAAAAAAAAAAAAAAAA")),
        ("Sec-WebSocket-Key", Some("AAAAAAAAAAAAAAAAAAAAAAA=")),
    ]
}

async fn refuse_invalid_handshakes(server: &Server, target: &str) {
    for (name, value) in invalid() {
        let mut headers = handshake_headers();
        headers.retain(|(given, _)| *given != name);
        headers.extend(value.map(|value| (name, value)));
        let answer = WebSocket::handshake(server.address, target, &headers, b"").await.0;
        if name == "Sec-WebSocket-Version" {
            let status_and_version = (answer.status, answer.header("sec-websocket-version"));
            assert_eq!(status_and_version, (426, Some("13")), "{name}: {value:?}");
        } else {
            assert_eq!(answer.status, 400, "{name}: {value:?}");
        }
        assert_eq!(answer.header("sec-websocket-accept"), None);
    }
}

async fn an_invalid_websocket_handshake_is_refused(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    refuse_invalid_handshakes(&server, "/socket.io/?EIO=4&transport=websocket").await;
    assert_eq!(server.opened(), 0);
    server.permits_are_back().await;
}

async fn an_invalid_handshake_of_an_upgrade_leaves_the_session_alone(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", client.sid);
    refuse_invalid_handshakes(&server, &target).await;
    client.send("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}

async fn other_methods_are_refused_and_leave_the_session_alone(kind: EngineKind) {
    let server = Server::start(kind, limits()).await;
    let (client, session) = server.connected_polling().await;
    for method in ["PUT", "DELETE", "PATCH"] {
        assert_eq!(client.request(method).await.status, 400, "{method}");
    }
    client.send("42[\"a\"]").await;
    assert_eq!(session.event().await, "[\"a\"]");
}
