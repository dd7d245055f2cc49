//! Puts the events together to a document: one channel for each namespace, one operation for each event in it.

use serde_json::{Map, Value, json};

use super::{Arguments, ClientEvent, ServerEvent, Within, schema::reference};

/// The channels, by the key in the document.
const CHANNELS: [(&str, &str, &str); 3] = [
    ("main", "/", "The main namespace"),
    ("chat", "/chat", "The same events as the main namespace, except presence and the roster, and separate rooms"),
    ("feed", "/ws/v1/{feed}", "Updates of one subject, for each feed that the configuration names"),
];

/// Codes of the errors that every event can be answered with.
const COMMON_ERRORS: [&str; 4] = ["validation_failed", "rate_limited", "payload_too_large", "internal"];

/// The parts of a document so far.
#[derive(Default)]
pub(super) struct Assembly {
    schemas: Map<String, Value>,
    messages: Map<String, Value>,
    /// The messages of each of [`CHANNELS`].
    channels: [Map<String, Value>; 3],
    operations: Map<String, Value>,
}

impl Assembly {
    /// Adds schemas that others refer to.
    pub(super) fn schemas(&mut self, schemas: Vec<(&'static str, Value)>) {
        self.schemas.extend(schemas.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    }

    pub(super) fn client_event(&mut self, event: ClientEvent) {
        let ClientEvent { name, within, summary, arguments, ack, errors } = event;
        let (sent, acked) = (format!("client.{}", key(name)), format!("ack.{}", key(name)));
        let payload = self.payload(&format!("{}Request", type_name(name)), arguments);
        self.message(&sent, name, summary, payload);
        let payload = self.payload(&format!("{}Ack", type_name(name)), ack);
        self.message(&acked, name, &format!("The acknowledgement of {name}"), payload);
        let errors: Vec<&str> =
            COMMON_ERRORS.iter().chain(errors.iter().filter(|code| !COMMON_ERRORS.contains(code))).copied().collect();
        for &channel in channels(within) {
            let reference =
                |message: &str| json!({ "$ref": format!("#/channels/{}/messages/{message}", CHANNELS[channel].0) });
            self.enter(channel, &[&sent, &acked, "ack.error"]);
            let operation = json!({
                "action": "receive",
                "channel": { "$ref": format!("#/channels/{}", CHANNELS[channel].0) },
                "summary": summary,
                "messages": [reference(&sent)],
                "reply": {
                    "channel": { "$ref": format!("#/channels/{}", CHANNELS[channel].0) },
                    "messages": [reference(&acked), reference("ack.error")],
                },
                "x-errors": errors,
            });
            self.operations.insert(format!("{}.{sent}", CHANNELS[channel].0), operation);
        }
    }

    pub(super) fn server_event(&mut self, event: ServerEvent) {
        let ServerEvent { name, within, summary, arguments } = event;
        let sent = format!("server.{}", key(name));
        let payload = self.payload(&format!("{}Payload", type_name(name)), arguments);
        self.message(&sent, name, summary, payload);
        for &channel in channels(within) {
            self.enter(channel, &[&sent]);
            let operation = json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{}", CHANNELS[channel].0) },
                "summary": summary,
                "messages": [{ "$ref": format!("#/channels/{}/messages/{sent}", CHANNELS[channel].0) }],
            });
            self.operations.insert(format!("{}.{sent}", CHANNELS[channel].0), operation);
        }
    }

    pub(super) fn document(mut self, mut header: Map<String, Value>) -> Value {
        let error = json!({ "status": "error", "code": "not_in_room", "message": "You are not in the room general" });
        let payload = json!({
            "payload": { "type": "array", "items": [reference("ErrorAck")], "minItems": 1 },
            "examples": [{ "payload": [error] }],
        });
        self.message("ack.error", "error", "The acknowledgement of an event that failed", payload);
        let channels = CHANNELS.iter().zip(self.channels).map(|((key, address, title), messages)| {
            let mut channel = json!({ "address": address, "title": title, "messages": messages });
            if address.contains("{feed}") {
                channel["parameters"] = json!({ "feed": { "description": "The feed's name, such as productos" } });
            }
            ((*key).to_owned(), channel)
        });
        header.insert("channels".to_owned(), Value::Object(channels.collect()));
        header.insert("operations".to_owned(), Value::Object(self.operations));
        let token = json!({
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "In `auth.token` of the client's options, or in the handshake's `Authorization` header",
        });
        let components = json!({
            "schemas": self.schemas, "messages": self.messages, "securitySchemes": { "token": token },
        });
        header.insert("components".to_owned(), components);
        Value::Object(header)
    }

    /// The payload and the examples of a message. The schema of each argument gets a name of its own, because types are
    /// generated from it.
    fn payload(&mut self, name: &str, arguments: Arguments) -> Value {
        let Arguments { schemas, required, examples } = arguments;
        let many = schemas.len() > 1;
        let named = schemas.into_iter().enumerate().map(|(index, schema)| {
            // A reference needs no second name.
            if schema.get("$ref").is_some() {
                return schema;
            }
            let name = if many { format!("{name}{}", index + 1) } else { name.to_owned() };
            let to = reference(&name);
            self.schemas.insert(name, schema);
            to
        });
        let items: Vec<Value> = named.collect();
        let payload = match items.is_empty() {
            true => json!({ "type": "array" }),
            false => json!({ "type": "array", "items": items, "minItems": required }),
        };
        let examples: Vec<Value> = examples.into_iter().map(|example| json!({ "payload": example })).collect();
        json!({ "payload": payload, "examples": examples })
    }

    fn message(&mut self, key: &str, name: &str, summary: &str, mut message: Value) {
        message["name"] = name.into();
        message["summary"] = summary.into();
        self.messages.insert(key.to_owned(), message);
    }

    fn enter(&mut self, channel: usize, messages: &[&str]) {
        for message in messages {
            let to = json!({ "$ref": format!("#/components/messages/{message}") });
            self.channels[channel].insert((*message).to_owned(), to);
        }
    }
}

/// Positions in [`CHANNELS`].
fn channels(within: Within) -> &'static [usize] {
    match within {
        Within::Main => &[0],
        Within::Namespaces => &[0, 1],
        Within::Feeds => &[2],
        Within::All => &[0, 1, 2],
    }
}

/// The name in keys, which may not have colons.
fn key(name: &str) -> String {
    name.replace(':', ".")
}

/// `notification:mark_read` as `NotificationMarkRead`.
fn type_name(name: &str) -> String {
    let words = name.split([':', '-', '_']);
    words.flat_map(|word| word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1))).collect()
}
