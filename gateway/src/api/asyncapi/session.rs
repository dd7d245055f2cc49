//! The session: its begin, its token, its end, and errors.

use serde_json::json;

use super::{
    entry::{Arguments, ClientEvent, ServerEvent, Within},
    schema::{described, example, object, reference, text},
};
use crate::api::disconnect::MAX_REASON;

pub(super) fn client_events() -> Vec<ClientEvent> {
    vec![ClientEvent {
        name: "token:refresh",
        within: Within::All,
        summary: "A newer token of the same user: the session goes on until the later end of the two",
        arguments: Arguments::one(
            object(&["token"], json!({ "token": { "type": "string" } })),
            json!({ "token": "eyJhbGciOiJFZERTQSJ9.e30.c2ln" }),
        ),
        ack: Arguments::one(
            object(
                &["status", "expiresAt"],
                json!({ "status": { "const": "ok" }, "expiresAt": reference("Timestamp") }),
            ),
            json!({ "status": "ok", "expiresAt": example::EXPIRES }),
        ),
        errors: &["validation_failed", "forbidden", "unavailable"],
    }]
}

pub(super) fn server_events() -> Vec<ServerEvent> {
    let expires = || object(&["expiresAt"], json!({ "expiresAt": reference("Timestamp") }));
    let expires_example = || json!({ "expiresAt": example::EXPIRES });
    vec![
        ServerEvent {
            name: "authenticated",
            within: Within::Namespaces,
            summary: "The first event of every socket in `/` and `/chat`",
            arguments: Arguments::one(
                object(
                    &["success", "userId", "email", "socketId", "expiresAt"],
                    json!({
                        "success": { "const": true },
                        "userId": reference("UserId"),
                        "email": described("Null if the token has none", json!({ "type": ["string", "null"] })),
                        "socketId": reference("SocketId"),
                        "expiresAt": described("The end of the token", json!({ "allOf": [reference("Timestamp")] })),
                    }),
                ),
                json!({
                    "success": true, "userId": example::ANA, "email": "ana@example.com", "socketId": example::SOCKET,
                    "expiresAt": example::EXPIRES,
                }),
            ),
        },
        ServerEvent {
            name: "error",
            within: Within::All,
            summary: "An event failed, and its sender had not asked for an acknowledgement",
            arguments: Arguments::one(
                object(
                    &["status", "code", "message", "event"],
                    json!({
                        "status": { "const": "error" },
                        "code": json!({ "anyOf": [reference("ErrorCode"), { "type": "string", "minLength": 1 }] }),
                        "message": described("For people; it may change", json!({ "type": "string" })),
                        "event": described("The event's name, cut at 64 characters; empty if the session ends because of flooding", text(0, 64)),
                        "retryAfterMs": described("Milliseconds. Only with `rate_limited`", json!({ "type": "integer", "minimum": 0 })),
                    }),
                ),
                json!({
                    "status": "error", "code": "not_in_room", "message": "You are not in the room general",
                    "event": "send-message",
                }),
            ),
        },
        ServerEvent {
            name: "token:expiring",
            within: Within::All,
            summary: "The token ends in 60 s: send token:refresh",
            arguments: Arguments::one(expires(), expires_example()),
        },
        ServerEvent {
            name: "token:expired",
            within: Within::All,
            summary: "The token has ended; DISCONNECT follows",
            arguments: Arguments::one(expires(), expires_example()),
        },
        ServerEvent {
            name: "session:replaced",
            within: Within::Namespaces,
            summary: "A newer session took the place of this one; DISCONNECT follows",
            arguments: Arguments::one(
                object(&["at"], json!({ "at": reference("Timestamp") })),
                json!({ "at": example::AT }),
            ),
        },
        ServerEvent {
            name: "session:ended",
            within: Within::All,
            summary: "A backend ended the user's sockets, or their token was revoked; DISCONNECT follows",
            arguments: Arguments::one(
                object(
                    &["reason", "at"],
                    json!({
                        "reason": described("Empty if the backend gave none", text(0, MAX_REASON)),
                        "at": reference("Timestamp"),
                    }),
                ),
                json!({ "reason": "Your account was closed", "at": example::AT }),
            ),
        },
    ]
}
