//! A node's report on itself to the others with every heartbeat, for `/v1/nodes` and `/v1/stats`.

use std::sync::Arc;

use jackfield_shared::time::rfc3339;
use serde::{Deserialize, Serialize};

use super::{Census, Node, census};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The node.
    pub id: Arc<str>,
    /// Host and internal port, as other nodes reach it.
    pub address: String,
    /// The program's version.
    pub version: String,
    /// RFC 3339.
    pub started_at: String,
    /// Sockets, one for each namespace that a connection is in.
    pub sockets: usize,
    /// Users with a session on it.
    #[serde(flatten)]
    pub census: Census,
    /// The node is shutting down.
    pub draining: bool,
}

impl Report {
    /// The report of `node` at this moment.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        Self {
            id: Arc::clone(&node.id.0),
            address: node.settings.address(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: rfc3339(node.started_at),
            sockets: node.hub.namespaces().map(|namespace| namespace.len()).sum(),
            census: node.connections.census(),
            draining: node.is_draining(),
        }
    }

    /// How many users have a session on these nodes, each counted once: see [`Census`] for how exactly.
    #[must_use]
    pub fn users(reports: &[Self]) -> usize {
        census::users(reports.iter().map(|report| &report.census))
    }

    /// The text for the other nodes.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Text and numbers can always be written as JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Another node's report; `None` if another version writes it differently.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
