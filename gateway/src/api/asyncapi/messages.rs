//! Messages that are not stored: to a namespace, to one user.

use serde_json::json;

use super::{
    entry::{Arguments, ClientEvent, ServerEvent, Within},
    schema::{described, done, example, object, optional, reference, text},
};
use crate::room::MAX_CONTENT;

pub(super) fn client_events() -> Vec<ClientEvent> {
    let content =
        |field: &str| object(&[field], json!({ field: reference("Content"), "room": optional(reference("RoomName")) }));
    vec![
        ClientEvent {
            name: "message-client",
            within: Within::Namespaces,
            summary: "To everybody in the namespace, the sender too, as message-server",
            arguments: Arguments::one(
                object(
                    &[],
                    json!({
                        "message": described(
                            "Empty or omitted: sent as `no-message!!!`",
                            json!({ "anyOf": [text(0, MAX_CONTENT), reference("Bytes"), { "type": "null" }] }),
                        ),
                        "id": described("Ignored", json!({})),
                    }),
                ),
                json!({ "message": "hello" }),
            ),
            ack: done(),
            errors: &["validation_failed", "unavailable"],
        },
        ClientEvent {
            name: "message",
            within: Within::Namespaces,
            summary: "To everybody in the namespace or in a room, the sender too, as message",
            arguments: Arguments::one(
                json!({ "anyOf": [reference("Content"), content("content")] }),
                json!({ "content": "hello", "room": "general" }),
            )
            .or(json!("hello")),
            ack: Arguments::one(
                object(
                    &["status", "message"],
                    json!({
                        "status": { "const": "ok" }, "message": { "const": "Message sent successfully" },
                    }),
                ),
                json!({ "status": "ok", "message": "Message sent successfully" }),
            ),
            errors: &["validation_failed", "not_in_room", "forbidden", "unavailable"],
        },
        ClientEvent {
            name: "private-message",
            within: Within::Namespaces,
            summary: "To every socket of one user, and to the sender's others, as private-message",
            arguments: Arguments::one(
                object(&["to", "content"], json!({ "to": reference("UserId"), "content": reference("MessageText") })),
                json!({ "to": example::BOB, "content": "psst" }),
            ),
            ack: Arguments::one(
                object(
                    &["status", "messageId", "delivered"],
                    json!({
                        "status": { "const": "ok" },
                        "messageId": reference("Uuid"),
                        "delivered": described("Sessions that it was sent to", json!({ "type": "integer", "minimum": 0 })),
                    }),
                ),
                json!({ "status": "ok", "messageId": "019c2300-8471-7c41-9d55-2f6b8e1c4a10", "delivered": 2 }),
            ),
            errors: &["validation_failed", "unavailable"],
        },
        ClientEvent {
            name: "echo",
            within: Within::Namespaces,
            summary: "The acknowledgement repeats all arguments: measures the round trip",
            arguments: Arguments::any(json!(["anything", 7])),
            ack: Arguments::any(json!(["anything", 7])),
            errors: &[],
        },
    ]
}

pub(super) fn server_events() -> Vec<ServerEvent> {
    let message = object(
        &["sender", "message", "timestamp"],
        json!({
            "sender": reference("SocketId"), "message": reference("Content"), "timestamp": reference("Timestamp"),
        }),
    );
    vec![
        ServerEvent {
            name: "message-server",
            within: Within::Namespaces,
            summary: "From message-client",
            arguments: Arguments::one(
                object(
                    &["fullName", "message"],
                    json!({
                        "fullName": described("The name in the sender's token", json!({ "type": "string" })),
                        "message": reference("Content"),
                    }),
                ),
                json!({ "fullName": "Ana Lopez", "message": "hello" }),
            ),
        },
        ServerEvent {
            name: "message",
            within: Within::Namespaces,
            summary: "From message. It does not name the room",
            arguments: Arguments::one(
                message,
                json!({ "sender": example::SOCKET, "message": "hello", "timestamp": example::AT }),
            ),
        },
        ServerEvent {
            name: "private-message",
            within: Within::Namespaces,
            summary: "From private-message",
            arguments: Arguments::one(
                object(
                    &["id", "from", "to", "content", "timestamp"],
                    json!({
                        "id": described("The messageId of the acknowledgement", json!({ "allOf": [reference("Uuid")] })),
                        "from": reference("Author"),
                        "to": reference("UserId"),
                        "content": reference("MessageText"),
                        "timestamp": reference("Timestamp"),
                    }),
                ),
                json!({
                    "id": "019c2300-8471-7c41-9d55-2f6b8e1c4a10",
                    "from": { "id": example::ANA, "name": "Ana Lopez" },
                    "to": example::BOB,
                    "content": "psst",
                    "timestamp": example::AT,
                }),
            ),
        },
    ]
}
