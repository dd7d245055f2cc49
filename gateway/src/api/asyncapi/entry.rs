//! An event as its subject's file describes it.

use serde_json::Value;

/// The namespaces that have an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// `/` only.
    Main,
    /// `/` and `/chat`.
    Namespaces,
    /// Feeds only.
    Feeds,
    /// `/`, `/chat` and feeds.
    All,
}

/// A value that is sent: the schema of each argument, and an example of all of them.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) schemas: Vec<Value>,
    /// Arguments that must be present.
    pub(super) required: usize,
    pub(super) examples: Vec<Value>,
}

impl Arguments {
    /// One argument, with an example.
    pub(super) fn one(schema: Value, example: Value) -> Self {
        Self { schemas: vec![schema], required: 1, examples: vec![Value::Array(vec![example])] }
    }

    /// One more example, of one argument.
    pub(super) fn or(mut self, example: Value) -> Self {
        self.examples.push(Value::Array(vec![example]));
        self
    }

    /// Any arguments.
    pub(super) fn any(example: Value) -> Self {
        Self { schemas: Vec::new(), required: 0, examples: vec![example] }
    }
}

/// An event from a client.
#[derive(Debug)]
pub(super) struct ClientEvent {
    pub(super) name: &'static str,
    pub(super) within: Within,
    pub(super) summary: &'static str,
    pub(super) arguments: Arguments,
    pub(super) ack: Arguments,
    /// Codes of the errors that it can be answered with, beside those of every event.
    pub(super) errors: &'static [&'static str],
}

/// An event from the gateway.
#[derive(Debug)]
pub(super) struct ServerEvent {
    pub(super) name: &'static str,
    pub(super) within: Within,
    pub(super) summary: &'static str,
    pub(super) arguments: Arguments,
}
