//! The requests to hooks, their answers, and facts, which are HTTP and not events: schemas for the generated types.

use serde_json::{Value, json};

use super::schema::{described, object, reference};
use crate::event::MAX_CLIENT_ID;

/// Most actions of a kind in an answer.
const MAX_ACTIONS: usize = 100;

/// All of them, by name.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let any = || json!({});
    let string = || json!({ "type": "string" });
    let strings = || json!({ "type": "array", "items": { "type": "string" } });
    let rooms = || json!({ "type": "array", "items": reference("RoomName") });
    let some_rooms = || json!({ "type": "array", "items": reference("RoomName"), "maxItems": MAX_ACTIONS });
    let joins = json!({ "join": some_rooms(), "data": described("Sent with every event of this socket", any()) });
    vec![
        (
            "HookUser",
            object(
                &["id", "email", "name", "roles"],
                json!({
                    "id": reference("UserId"), "email": { "type": ["string", "null"] }, "name": string(), "roles": strings(),
                }),
            ),
        ),
        (
            "HookEventRequest",
            described(
                "An event of the application that a client sent. Binary parts are `{\"$binary\": \"<base64>\"}`",
                object(
                    &[
                        "id",
                        "type",
                        "namespace",
                        "event",
                        "args",
                        "ack",
                        "socketId",
                        "session",
                        "rooms",
                        "user",
                        "timestamp",
                    ],
                    json!({
                        "id": described(
                            &format!(
                                "The webhook-id. The same for a repetition, if the first argument has a `clientId` of 1 to \
                                 {MAX_CLIENT_ID} characters"
                            ),
                            json!({ "type": "string", "pattern": "^evt_" }),
                        ),
                        "type": { "const": "event" },
                        "namespace": string(),
                        "event": string(),
                        "args": { "type": "array", "items": any() },
                        "ack": described("Whether the client asked for an acknowledgement", json!({ "type": "boolean" })),
                        "socketId": reference("SocketId"),
                        "session": string(),
                        "rooms": rooms(),
                        "user": reference("HookUser"),
                        "data": described("As the connect hook returned it for this socket", any()),
                        "timestamp": reference("Timestamp"),
                    }),
                ),
            ),
        ),
        (
            "HookConnectRequest",
            described(
                "A socket asks to connect; its token was verified",
                object(
                    &["id", "type", "namespace", "session", "user", "timestamp"],
                    json!({
                        "id": string(),
                        "type": { "const": "connect" },
                        "namespace": string(),
                        "socketId": described("Absent if the client asks to be recovered", json!({ "allOf": [reference("SocketId")] })),
                        "session": string(),
                        "auth": described("As the client sent it, without its token; omitted if longer than 4 KB", any()),
                        "user": reference("HookUser"),
                        "timestamp": reference("Timestamp"),
                    }),
                ),
            ),
        ),
        (
            "HookTarget",
            described(
                "The receivers of an emit",
                json!({ "anyOf": [
            object(&["user"], json!({ "user": reference("UserId"), "except": reference("HookExcept") })),
            object(&["users"], json!({
                "users": { "type": "array", "items": reference("UserId") }, "except": reference("HookExcept"),
            })),
            object(&["room"], json!({
                "room": reference("RoomName"), "namespace": string(), "except": reference("HookExcept"),
            })),
            object(&["everyone"], json!({
                "everyone": { "const": true }, "namespace": string(), "except": reference("HookExcept"),
            })),
            object(&["socket"], json!({ "socket": reference("SocketId"), "namespace": string() })),
        ] }),
            ),
        ),
        (
            "HookExcept",
            described(
                "Socket ids, `user:<id>`, names of rooms",
                json!({ "type": "array", "items": { "type": "string" }, "maxItems": 100 }),
            ),
        ),
        (
            "HookEmit",
            object(
                &["event", "to"],
                json!({
                    "event": { "type": "string", "minLength": 1, "maxLength": 128 },
                    "data": described("One argument", any()),
                    "args": described("Several arguments, in place of data", json!({ "type": "array", "items": any() })),
                    "to": reference("HookTarget"),
                }),
            ),
        ),
        (
            "HookEventAnswer",
            described(
                "200: actions, then the acknowledgement",
                object(
                    &[],
                    json!({
                        "ack": described("The arguments; `{status:\"ok\"}` if omitted", json!({ "type": "array", "items": any() })),
                        "emit": { "type": "array", "items": reference("HookEmit"), "maxItems": MAX_ACTIONS },
                        "join": some_rooms(),
                        "leave": some_rooms(),
                        "disconnect": object(&[], json!({ "reason": string() })),
                    }),
                ),
            ),
        ),
        ("HookConnectAnswer", described("200: lets the socket in", object(&[], joins))),
        (
            "HookErrorAnswer",
            described(
                "4xx: the error that the client gets; `rejected` without a valid code",
                object(
                    &[],
                    json!({
                        "code": { "type": "string", "pattern": "^[a-z][a-z0-9_:.-]{0,63}$" }, "message": string(),
                    }),
                ),
            ),
        ),
    ]
}
