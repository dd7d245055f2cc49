//! Facts, as hooks and `GET /v1/facts` have them.

use serde_json::{Value, json};

use super::schema::{described, object, reference};

/// The schema of one kind of fact.
fn fact(kind: &str, required: &[&str], data: Value) -> Value {
    object(
        &["id", "type", "timestamp", "data"],
        json!({
            "id": described("The webhook-id, also when it is delivered again", json!({ "type": "string", "pattern": "^fact_" })),
            "type": { "const": kind },
            "timestamp": reference("Timestamp"),
            "data": object(required, data),
        }),
    )
}

/// All of them, by name.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let text = || json!({ "type": "string" });
    let user = || json!({ "user": reference("UserId") });
    let room = || json!({ "namespace": text(), "room": reference("RoomName") });
    let member = || json!({ "namespace": text(), "room": reference("RoomName"), "user": reference("UserId") });
    let reason =
        json!({ "type": "string", "description": "Such as `client`, `ping_timeout`, `node_lost`, `replaced`" });
    let kinds = [
        fact(
            "session.started",
            &["session", "user", "node"],
            json!({
                "session": text(), "user": reference("UserId"), "node": text(), "namespace": text(),
                "socketId": reference("SocketId"),
            }),
        ),
        fact(
            "session.ended",
            &["session", "user", "reason", "node"],
            json!({
                "session": text(), "user": reference("UserId"), "reason": reason, "node": text(),
            }),
        ),
        fact("user.online", &["user"], user()),
        fact("user.offline", &["user"], user()),
        fact("room.occupied", &["namespace", "room"], room()),
        fact("room.vacated", &["namespace", "room"], room()),
        fact("room.joined", &["namespace", "room", "user"], member()),
        fact("room.left", &["namespace", "room", "user"], member()),
        fact(
            "message.stored",
            &["namespace", "messageId", "room", "content", "sender", "timestamp"],
            json!({
                "namespace": text(), "messageId": reference("Position"), "room": reference("RoomName"),
                "content": reference("MessageText"), "sender": reference("Author"), "timestamp": reference("Timestamp"),
            }),
        ),
    ];
    vec![(
        "HookFactRequest",
        described("Something that happened, in order for each user and room", json!({ "anyOf": kinds })),
    )]
}
