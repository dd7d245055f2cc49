//! A user's notifications, which backends post.

use serde_json::{Value, json};

use super::{
    entry::{Arguments, ClientEvent, ServerEvent, Within},
    schema::{described, example, object, optional, reference},
};
use crate::{
    api::notifications::{MAX_MESSAGE, MAX_TITLE, MAX_TYPE},
    notification::MAX_PAGE,
};

/// The fields that a backend posted.
fn fields() -> Value {
    let text = |max: usize| json!({ "type": "string", "maxLength": max });
    json!({
        "id": described("UUID v7; ids sort by age", json!({ "allOf": [reference("Uuid")] })),
        "title": text(MAX_TITLE),
        "message": text(MAX_MESSAGE),
        "type": described("The application defines the types", text(MAX_TYPE)),
        "data": described("As the backend sent it; missing if it sent none", json!({})),
    })
}

fn notification_example() -> Value {
    json!({
        "id": example::NOTIFICATION, "title": "Order 7", "message": "It is on its way", "type": "info",
        "data": { "orderId": 7 },
    })
}

fn listed() -> Value {
    let mut fields = fields();
    fields["read"] = json!({ "type": "boolean" });
    fields["createdAt"] = reference("Timestamp");
    object(&["id", "title", "message", "type", "read", "createdAt"], fields)
}

pub(super) fn client_events() -> Vec<ClientEvent> {
    let mut listed_example = notification_example();
    listed_example["read"] = json!(false);
    listed_example["createdAt"] = example::AT.into();
    let by_id = object(
        &["notificationId"],
        json!({
            "notificationId": reference("Uuid"), "all": { "const": false },
        }),
    );
    let all = object(&["all"], json!({ "all": { "const": true }, "notificationId": { "type": "null" } }));
    vec![
        ClientEvent {
            name: "notification:list",
            within: Within::Namespaces,
            summary: "The user's notifications, newest first; notification:unread_count follows",
            arguments: Arguments {
                schemas: vec![optional(object(
                    &[],
                    json!({
                        "before": described("Exclusive", optional(reference("Uuid"))),
                        "limit": described(
                            "50 if omitted", optional(json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE })),
                        ),
                    }),
                ))],
                required: 0,
                examples: vec![json!([{ "limit": 20 }]), json!([])],
            },
            ack: Arguments::one(
                object(
                    &["status", "notifications", "unreadCount", "more"],
                    json!({
                        "status": { "const": "ok" },
                        "notifications": { "type": "array", "items": listed(), "maxItems": MAX_PAGE },
                        "unreadCount": described("Of the whole inbox", json!({ "type": "integer", "minimum": 0 })),
                        "more": described("There are older ones", json!({ "type": "boolean" })),
                    }),
                ),
                json!({ "status": "ok", "notifications": [listed_example], "unreadCount": 1, "more": false }),
            ),
            errors: &["validation_failed", "unavailable"],
        },
        ClientEvent {
            name: "notification:mark_read",
            within: Within::Namespaces,
            summary: "Marks one notification, or all, as read",
            arguments: Arguments::one(
                json!({ "anyOf": [by_id, all] }),
                json!({ "notificationId": example::NOTIFICATION }),
            )
            .or(json!({ "all": true })),
            ack: Arguments::one(
                object(&["success"], json!({ "success": { "const": true } })),
                json!({ "success": true }),
            ),
            errors: &["validation_failed", "unavailable"],
        },
    ]
}

pub(super) fn server_events() -> Vec<ServerEvent> {
    let within = Within::Namespaces;
    let one = object(
        &["notificationId", "success"],
        json!({
            "notificationId": reference("Uuid"), "success": { "const": true },
        }),
    );
    let all = object(
        &["notificationId", "all", "success"],
        json!({
            "notificationId": { "type": "null" }, "all": { "const": true }, "success": { "const": true },
        }),
    );
    vec![
        ServerEvent {
            name: "notification:unread_count",
            within,
            summary: "On connect and with every change, to every socket of the user",
            arguments: Arguments::one(
                object(
                    &["unreadCount", "timestamp"],
                    json!({
                        "unreadCount": { "type": "integer", "minimum": 0 }, "timestamp": reference("Timestamp"),
                    }),
                ),
                json!({ "unreadCount": 3, "timestamp": example::AT }),
            ),
        },
        ServerEvent {
            name: "notification:new",
            within,
            summary: "A backend posted a notification",
            arguments: Arguments::one(
                object(
                    &["notification", "timestamp"],
                    json!({
                        "notification": object(&["id", "title", "message", "type"], fields()),
                        "timestamp": reference("Timestamp"),
                    }),
                ),
                json!({ "notification": notification_example(), "timestamp": example::AT }),
            ),
        },
        ServerEvent {
            name: "notification:read",
            within,
            summary: "The user marked one notification, or all, as read",
            arguments: Arguments::one(
                json!({ "anyOf": [one, all] }),
                json!({ "notificationId": example::NOTIFICATION, "success": true }),
            )
            .or(json!({ "notificationId": null, "all": true, "success": true })),
        },
        ServerEvent {
            name: "notification:deleted",
            within,
            summary: "A backend deleted a notification",
            arguments: Arguments::one(
                object(
                    &["notificationId", "timestamp"],
                    json!({
                        "notificationId": reference("Uuid"), "timestamp": reference("Timestamp"),
                    }),
                ),
                json!({ "notificationId": example::NOTIFICATION, "timestamp": example::AT }),
            ),
        },
    ]
}
