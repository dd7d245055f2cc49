//! The AsyncAPI document of the sockets: every event that a client may send, with its acknowledgement and its errors,
//! and every event that it may receive, with JSON Schemas. Served at `/v1/asyncapi.json`, and kept in
//! `docs/asyncapi.json`, from which the TypeScript types are generated.
//!
//! An event is described once, in the file of its subject; a test compares the names with those that the code
//! dispatches and sends, and the end-to-end tests check what stock clients receive against the schemas. Deliberately
//! not described: the events of applications, which backends define, and the packets of the protocol below.

mod assemble;
mod entry;
mod facts;
mod feeds;
mod hooks;
mod messages;
mod notifications;
mod presence;
mod rooms;
mod schema;
mod session;

use axum::{Json, Router, routing::get};
use serde_json::{Map, Value, json};

use self::{
    assemble::Assembly,
    entry::{Arguments, ClientEvent, ServerEvent, Within},
    schema::common,
};

/// The path at which the document is served.
const AT: &str = "/v1/asyncapi.json";

const DESCRIPTION: &str = "The events between Jackfield and its clients, over Socket.IO (Engine.IO 4, Socket.IO \
    protocol 5). The payload of a message is the list of the event's arguments. Applications have events of their own \
    beside these: a backend sends them with POST /v1/emit, and a hook answers those that clients send. A client that \
    asked for recovery gets one more argument at the end of some events, a text: its offset. Fields may be added: \
    clients ignore those that they do not know. The gateway ignores unknown fields and further arguments, too.";

/// The route of the document.
pub(super) fn router() -> Router {
    let document = Json(document());
    Router::new().route(AT, get(move || async move { document }))
}

/// The document.
pub(crate) fn document() -> Value {
    let mut assembly = Assembly::default();
    let client_events = [
        messages::client_events(),
        rooms::client_events(),
        notifications::client_events(),
        presence::client_events(),
        session::client_events(),
        feeds::client_events(),
    ];
    client_events.into_iter().flatten().for_each(|event| assembly.client_event(event));
    let server_events = [
        session::server_events(),
        messages::server_events(),
        rooms::server_events(),
        notifications::server_events(),
        presence::server_events(),
        feeds::server_events(),
    ];
    server_events.into_iter().flatten().for_each(|event| assembly.server_event(event));
    assembly.schemas(common());
    assembly.schemas(hooks::schemas());
    assembly.schemas(facts::schemas());
    assembly.document(header())
}

fn header() -> Map<String, Value> {
    let header = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Jackfield for clients",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "localhost:3000",
                "pathname": "/socket.io/",
                "protocol": "socket.io",
                "protocolVersion": "5",
                "description": "Any gateway, or the balancer in front of them. Transports: polling and websocket.",
                "security": [{ "$ref": "#/components/securitySchemes/token" }],
            },
        },
    });
    match header {
        Value::Object(header) => header,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
