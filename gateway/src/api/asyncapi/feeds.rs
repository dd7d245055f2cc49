//! Feeds: updates of one subject.

use serde_json::json;

use super::{
    entry::{Arguments, ClientEvent, ServerEvent, Within},
    schema::{described, done, example, object, reference, text},
};
use crate::api::feeds::MAX_ENTITY;

pub(super) fn client_events() -> Vec<ClientEvent> {
    vec![ClientEvent {
        name: "updateProduct",
        within: Within::Feeds,
        summary: "An update from a reader with one of the feed's roles; everybody gets updates",
        arguments: Arguments {
            schemas: vec![described("Any JSON without binary parts, at most 64 levels deep", json!({}))],
            required: 0,
            examples: vec![json!([{ "id": 1, "title": "Shirt" }])],
        },
        ack: done(),
        errors: &["forbidden", "validation_failed", "unavailable"],
    }]
}

pub(super) fn server_events() -> Vec<ServerEvent> {
    let of_backend = object(
        &["entity", "type", "data", "createdAt"],
        json!({
            "entity": text(0, MAX_ENTITY),
            "type": { "enum": ["CREATE", "UPDATE", "DELETE"] },
            "data": described("As the backend sent it", json!({})),
            "createdAt": reference("Timestamp"),
        }),
    );
    let of_reader = object(
        &["message", "data"],
        json!({
            "message": { "type": "string" }, "data": described("As the reader sent it", json!({})),
        }),
    );
    let product = || json!({ "id": 1, "title": "Shirt" });
    vec![
        ServerEvent {
            name: "connection",
            within: Within::Feeds,
            summary: "The feed's greeting, the first event after CONNECT",
            arguments: Arguments::one(
                json!({ "type": "string" }),
                json!("Updates Notifications WS: Productos - Tienda API NestJS"),
            ),
        },
        ServerEvent {
            name: "updates",
            within: Within::Feeds,
            summary: "An update from a backend, or from a reader's updateProduct",
            arguments: Arguments::one(
                json!({ "anyOf": [of_backend, of_reader] }),
                json!({ "entity": "PRODUCTOS", "type": "CREATE", "data": product(), "createdAt": example::AT }),
            )
            .or(json!({ "message": "Se ha actualizado un producto", "data": product() })),
        },
    ]
}
