//! Rooms: membership, stored messages, and what passes by.

use serde_json::{Value, json};

use super::{
    entry::{Arguments, ClientEvent, ServerEvent, Within},
    schema::{described, done, example, object, optional, reference, text},
};
use crate::{event::MAX_CLIENT_ID, room::MAX_PAGE};

/// A room's name, or an object.
fn room_or(fields: Value) -> Value {
    json!({ "anyOf": [reference("RoomName"), object(&["room"], fields)] })
}

fn message_example() -> Value {
    json!({
        "id": example::POSITION, "room": "general", "content": "hello",
        "sender": { "id": example::ANA, "name": "Ana Lopez" }, "timestamp": example::AT,
    })
}

pub(super) fn client_events() -> Vec<ClientEvent> {
    let ok = || json!({ "const": "ok" });
    let in_room = &["validation_failed", "not_in_room", "forbidden", "unavailable"];
    vec![
        ClientEvent {
            name: "join-room",
            within: Within::Namespaces,
            summary: "Answered by joined, recent-messages, and then the acknowledgement. Others get user-joined",
            arguments: Arguments::one(
                room_or(json!({
                    "room": reference("RoomName"),
                    "since": described("The last position that the client knows", optional(json!({ "type": "string" }))),
                })),
                json!({ "room": "general", "since": example::POSITION }),
            )
            .or(json!("general")),
            ack: Arguments::one(
                object(&["status", "room", "position", "members"], json!({
                    "status": ok(),
                    "room": reference("RoomName"),
                    "position": described(
                        "Every later message reaches this socket live", json!({ "allOf": [reference("Position")] }),
                    ),
                    "members": described("Users, this one included", json!({ "type": "integer", "minimum": 1 })),
                    "recovered": described(
                        "Only if `since` was sent: whether no later message is missing", json!({ "type": "boolean" }),
                    ),
                })),
                json!({ "status": "ok", "room": "general", "position": example::POSITION, "members": 3 }),
            ),
            errors: &["validation_failed", "forbidden", "too_many_rooms", "unavailable"],
        },
        ClientEvent {
            name: "leave-room",
            within: Within::Namespaces,
            summary: "Others get user-left if it was the user's last socket in the room",
            arguments: Arguments::one(room_or(json!({ "room": reference("RoomName") })), json!({ "room": "general" }))
                .or(json!("general")),
            ack: Arguments::one(
                object(&["status", "room"], json!({ "status": ok(), "room": reference("RoomName") })),
                json!({ "status": "ok", "room": "general" }),
            ),
            errors: &["validation_failed", "not_in_room"],
        },
        ClientEvent {
            name: "send-message",
            within: Within::Namespaces,
            summary: "Stored, numbered, and sent to all members as new-message; acknowledged once it is stored",
            arguments: Arguments::one(
                object(&["room", "content"], json!({
                    "room": reference("RoomName"),
                    "content": reference("MessageText"),
                    "clientId": described(
                        "The same one within 5 minutes is stored once", optional(text(1, MAX_CLIENT_ID)),
                    ),
                })),
                json!({ "room": "general", "content": "hello", "clientId": "a1" }),
            ),
            ack: Arguments::one(
                object(&["status", "messageId", "durable"], json!({
                    "status": ok(),
                    "messageId": reference("Position"),
                    "durable": described(
                        "What the message has reached, as the room's rule wants: the memory of Redis, a replica, or disk",
                        json!({ "enum": ["memory", "replica", "disk"] }),
                    ),
                })),
                json!({ "status": "ok", "messageId": example::POSITION, "durable": "memory" }),
            ),
            errors: in_room,
        },
        ClientEvent {
            name: "room-message",
            within: Within::Namespaces,
            summary: "To the room's other sockets as room-message; not stored",
            arguments: Arguments::one(
                object(&["room", "message"], json!({ "room": reference("RoomName"), "message": reference("Content") })),
                json!({ "room": "general", "message": "hello" }),
            ),
            ack: done(),
            errors: in_room,
        },
        ClientEvent {
            name: "typing",
            within: Within::Namespaces,
            summary: "To the room's other sockets as user-typing, at most once a second",
            arguments: Arguments::one(
                object(&["room"], json!({
                    "room": reference("RoomName"),
                    "isTyping": described("`true` if omitted", json!({ "type": "boolean" })),
                })),
                json!({ "room": "general", "isTyping": true }),
            ),
            ack: done(),
            errors: in_room,
        },
        ClientEvent {
            name: "room-history",
            within: Within::Namespaces,
            summary: "Stored messages of a room, oldest first; for members",
            arguments: Arguments::one(
                object(&["room"], json!({
                    "room": reference("RoomName"),
                    "before": described("A message's id, exclusive", optional(json!({ "type": "string" }))),
                    "limit": described(
                        "50 if omitted", optional(json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE })),
                    ),
                })),
                json!({ "room": "general", "limit": 20 }),
            ),
            ack: Arguments::one(
                object(&["status", "messages"], json!({
                    "status": ok(),
                    "messages": { "type": "array", "items": reference("NewMessagePayload"), "maxItems": MAX_PAGE },
                })),
                json!({ "status": "ok", "messages": [message_example()] }),
            ),
            errors: &["validation_failed", "not_in_room", "unavailable"],
        },
        ClientEvent {
            name: "room-members",
            within: Within::Namespaces,
            summary: "The users in a room; for users who may join it",
            arguments: Arguments::one(
                object(&["room"], json!({ "room": reference("RoomName") })),
                json!({ "room": "general" }),
            ),
            ack: Arguments::one(
                object(&["status", "room", "count", "members"], json!({
                    "status": ok(),
                    "room": reference("RoomName"),
                    "count": { "type": "integer", "minimum": 0 },
                    "members": { "type": "array", "items": reference("Member"), "maxItems": crate::event::MAX_LISTED },
                })),
                json!({
                    "status": "ok", "room": "general", "count": 1,
                    "members": [{ "userId": example::ANA, "name": "Ana Lopez" }],
                }),
            ),
            errors: &["validation_failed", "forbidden", "unavailable"],
        },
    ]
}

pub(super) fn server_events() -> Vec<ServerEvent> {
    let within = Within::Namespaces;
    let member = || {
        object(
            &["userId", "name", "room"],
            json!({
                "userId": reference("UserId"), "name": { "type": "string" }, "room": reference("RoomName"),
            }),
        )
    };
    let member_example = || json!({ "userId": example::ANA, "name": "Ana Lopez", "room": "general" });
    vec![
        ServerEvent {
            name: "joined",
            within,
            summary: "After join-room, to the joining socket alone",
            arguments: Arguments::one(
                object(&["room"], json!({ "room": reference("RoomName") })),
                json!({ "room": "general" }),
            ),
        },
        ServerEvent {
            name: "recent-messages",
            within,
            summary: "After joined, to the joining socket alone, one or more times: messages, oldest first",
            arguments: Arguments {
                schemas: vec![
                    json!({ "type": "array", "items": reference("NewMessagePayload"), "maxItems": MAX_PAGE }),
                    object(
                        &["room", "more"],
                        json!({
                            "room": reference("RoomName"),
                            "more": described("True on all but the last", json!({ "type": "boolean" })),
                        }),
                    ),
                ],
                required: 2,
                examples: vec![json!([[message_example()], { "room": "general", "more": false }])],
            },
        },
        ServerEvent {
            name: "new-message",
            within,
            summary: "A stored message, to all members of the room, once and in the room's order",
            arguments: Arguments::one(
                object(
                    &["id", "room", "content", "sender", "timestamp"],
                    json!({
                        "id": described("Compared as text, ids sort in the room's order", json!({ "allOf": [reference("Position")] })),
                        "room": reference("RoomName"),
                        "content": reference("MessageText"),
                        "sender": described("The user; `system` for a backend", json!({ "allOf": [reference("Author")] })),
                        "timestamp": reference("Timestamp"),
                    }),
                ),
                message_example(),
            ),
        },
        ServerEvent {
            name: "room-message",
            within,
            summary: "From room-message",
            arguments: Arguments::one(
                object(
                    &["sender", "message", "room", "timestamp"],
                    json!({
                        "sender": reference("SocketId"), "message": reference("Content"), "room": reference("RoomName"),
                        "timestamp": reference("Timestamp"),
                    }),
                ),
                json!({ "sender": example::SOCKET, "message": "hello", "room": "general", "timestamp": example::AT }),
            ),
        },
        ServerEvent {
            name: "room-reset",
            within,
            summary: "Messages of the room were lost; everything after this position follows",
            arguments: Arguments::one(
                object(
                    &["room", "position"],
                    json!({ "room": reference("RoomName"), "position": reference("Position") }),
                ),
                json!({ "room": "general", "position": "0649e9c2d10b40-000000000000" }),
            ),
        },
        ServerEvent {
            name: "user-typing",
            within,
            summary: "From typing",
            arguments: Arguments::one(
                object(
                    &["userId", "name", "room", "isTyping"],
                    json!({
                        "userId": reference("UserId"), "name": { "type": "string" }, "room": reference("RoomName"),
                        "isTyping": { "type": "boolean" },
                    }),
                ),
                json!({ "userId": example::ANA, "name": "Ana Lopez", "room": "general", "isTyping": true }),
            ),
        },
        ServerEvent {
            name: "user-joined",
            within,
            summary: "A user's first socket joined the room",
            arguments: Arguments::one(member(), member_example()),
        },
        ServerEvent {
            name: "user-left",
            within,
            summary: "A user's last socket left the room, or has been gone for `presence.grace`",
            arguments: Arguments::one(member(), member_example()),
        },
        ServerEvent {
            name: "left",
            within,
            summary: "To a socket that was removed from a room: `forbidden` if the user's roles do not allow it any more, \
                      `by_backend` if a backend decided so",
            arguments: Arguments::one(
                object(
                    &["room", "code"],
                    json!({ "room": reference("RoomName"), "code": { "type": "string", "enum": ["forbidden", "by_backend"] } }),
                ),
                json!({ "room": "staff", "code": "forbidden" }),
            ),
        },
    ]
}
