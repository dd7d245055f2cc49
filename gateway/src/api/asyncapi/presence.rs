//! Presence of users and the roster of sockets, in the main namespace.

use serde_json::json;

use super::{
    entry::{Arguments, ClientEvent, ServerEvent, Within},
    schema::{described, example, object, reference},
};
use crate::hub::MAX_WATCHED;

pub(super) fn client_events() -> Vec<ClientEvent> {
    vec![ClientEvent {
        name: "presence:subscribe",
        // The chat namespace refuses it as `unknown_event`.
        within: Within::Main,
        summary: "The presence of these users, at any size of the cluster; replaces the list before",
        arguments: Arguments::one(
            object(
                &["userIds"],
                json!({
                    "userIds": { "type": "array", "items": reference("UserId"), "maxItems": MAX_WATCHED },
                }),
            ),
            json!({ "userIds": [example::ANA, example::BOB] }),
        ),
        ack: Arguments::one(
            object(
                &["status", "online"],
                json!({
                    "status": { "const": "ok" },
                    "online": described("Those who are online now", json!({ "type": "array", "items": reference("UserId") })),
                }),
            ),
            json!({ "status": "ok", "online": [example::ANA] }),
        ),
        errors: &["validation_failed", "unavailable"],
    }]
}

pub(super) fn server_events() -> Vec<ServerEvent> {
    let within = Within::Main;
    let user = || {
        object(&["userId", "timestamp"], json!({ "userId": reference("UserId"), "timestamp": reference("Timestamp") }))
    };
    let user_example = || json!({ "userId": example::ANA, "timestamp": example::AT });
    vec![
        ServerEvent {
            name: "clients-updated",
            within,
            summary: "The ids of all sockets in `/` of the cluster, while there are at most `roster.max`",
            arguments: Arguments::one(
                json!({ "type": "array", "items": reference("SocketId") }),
                json!([example::SOCKET, "Zb81uQpE-4sNw0_KjVtd"]),
            ),
        },
        ServerEvent {
            name: "clients-count",
            within,
            summary: "In place of clients-updated above `roster.max`",
            arguments: Arguments::one(
                object(&["count"], json!({ "count": { "type": "integer", "minimum": 0 } })),
                json!({ "count": 4211 }),
            ),
        },
        ServerEvent {
            name: "user:online",
            within,
            summary: "A user's first session anywhere began",
            arguments: Arguments::one(user(), user_example()),
        },
        ServerEvent {
            name: "user:offline",
            within,
            summary: "A user's last session has been gone for `presence.grace`",
            arguments: Arguments::one(user(), user_example()),
        },
    ]
}
