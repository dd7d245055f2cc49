//! The schemas that several events share, with the limits that the code checks.

use serde_json::{Value, json};

use crate::{room::MAX_CONTENT, user_id::MAX_USER_ID};

/// Regular expressions of texts with a fixed form.
pub(super) mod patterns {
    pub(crate) const ROOM: &str = "^(?!user:)[A-Za-z0-9_.:-]{1,64}$";
    pub(crate) const TIMESTAMP: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$";
    pub(crate) const SOCKET: &str = "^[A-Za-z0-9_-]{20}$";
    pub(crate) const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
}

/// Values for examples.
pub(super) mod example {
    pub(crate) const ANA: &str = "019c1838-599a-7a2e-b6c3-5f1e9a7d2b44";
    pub(crate) const BOB: &str = "019c1db9-37ff-7e02-a91d-c0b3d4e5f601";
    pub(crate) const SOCKET: &str = "qT3vX9_kLm2-RbYw7HcA";
    pub(crate) const POSITION: &str = "0649e8b81896c0-000000000042";
    pub(crate) const NOTIFICATION: &str = "019c2301-b384-7d19-8a3b-64f0c9e1d7a2";
    pub(crate) const AT: &str = "2026-02-03T10:16:02.417Z";
    pub(crate) const EXPIRES: &str = "2026-02-03T12:15:30.000Z";
}

/// A reference to a schema.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object with these fields, of which `required` are always present.
pub(super) fn object(required: &[&str], properties: Value) -> Value {
    let mut schema = json!({ "type": "object", "required": required });
    schema["properties"] = properties;
    schema
}

/// Text of so many characters, Unicode code points.
pub(super) fn text(min: usize, max: usize) -> Value {
    json!({ "type": "string", "minLength": min, "maxLength": max })
}

/// A schema with a description.
pub(super) fn described(description: &str, mut schema: Value) -> Value {
    schema["description"] = description.into();
    schema
}

/// A field that clients may omit, or send as null.
pub(super) fn optional(schema: Value) -> Value {
    json!({ "anyOf": vec![schema, json!({ "type": "null" })] })
}

/// An acknowledgement that says no more than `ok`.
pub(super) fn done() -> super::Arguments {
    super::Arguments::one(reference("Done"), json!({ "status": "ok" }))
}

/// All of them, by name.
pub(super) fn common() -> Vec<(&'static str, Value)> {
    let codes = [
        "validation_failed",
        "not_in_room",
        "forbidden",
        "too_many_rooms",
        "rate_limited",
        "payload_too_large",
        "unknown_event",
        "unavailable",
        "internal",
    ];
    let refusals = [
        "missing_token",
        "invalid_token",
        "token_expired",
        "token_revoked",
        "user_inactive",
        "session_conflict",
        "invalid_namespace",
    ];
    let code = "A code of the gateway, or of a hook for an event of the application";
    let retry = json!({ "type": "integer", "minimum": 0, "description": "Milliseconds. Only with `rate_limited`" });
    vec![
        (
            "Timestamp",
            described("RFC 3339, UTC, with milliseconds", json!({ "type": "string", "pattern": patterns::TIMESTAMP })),
        ),
        ("RoomName", json!({ "type": "string", "pattern": patterns::ROOM })),
        ("SocketId", described("A socket's public id", json!({ "type": "string", "pattern": patterns::SOCKET }))),
        ("UserId", text(1, MAX_USER_ID)),
        ("Uuid", json!({ "type": "string", "pattern": patterns::UUID })),
        (
            "Position",
            described("A place in a room: opaque, sorts as text", json!({ "type": "string", "minLength": 1 })),
        ),
        ("MessageText", text(1, MAX_CONTENT)),
        ("Bytes", bytes()),
        (
            "Content",
            described(
                "Text, or a binary part in its place",
                json!({ "anyOf": [reference("MessageText"), reference("Bytes")] }),
            ),
        ),
        ("Author", object(&["id", "name"], json!({ "id": reference("UserId"), "name": { "type": "string" } }))),
        ("Member", object(&["userId", "name"], json!({ "userId": reference("UserId"), "name": { "type": "string" } }))),
        ("Done", object(&["status"], json!({ "status": { "const": "ok" } }))),
        ("ErrorCode", json!({ "type": "string", "enum": codes })),
        (
            "ErrorAck",
            object(
                &["status", "code", "message"],
                json!({
                    "status": { "const": "error" },
                    "code": described(code, json!({ "anyOf": [reference("ErrorCode"), { "type": "string", "minLength": 1 }] })),
                    "message": described("For people; it may change", json!({ "type": "string" })),
                    "retryAfterMs": retry,
                }),
            ),
        ),
        (
            "ConnectErrorCode",
            described(
                "The message of `connect_error`: a permanent refusal",
                json!({ "type": "string", "enum": refusals }),
            ),
        ),
        (
            "ConnectAuth",
            described(
                "The `auth` option of a client",
                object(
                    &[],
                    json!({
                        "token": { "type": "string" },
                        "recover": described("Asks for recovery", json!({ "type": "boolean" })),
                        "pid": described("Sent by the stock client when it comes back", json!({ "type": "string" })),
                        "offset": described("Sent by the stock client when it comes back", json!({ "type": "string" })),
                    }),
                ),
            ),
        ),
    ]
}

/// On the wire a placeholder; clients send and get bytes.
fn bytes() -> Value {
    json!({
        "type": "object",
        "description": "A binary part of 1 to 4,000 bytes: ArrayBuffer in browsers, Buffer in Node.js",
        "x-typescript": "ArrayBuffer | Uint8Array",
    })
}
