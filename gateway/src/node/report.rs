//! The report that a node stores about itself with every heartbeat, for `/v1/nodes` and `/v1/stats` of all nodes.

use std::sync::Arc;

use jackfield_shared::time::rfc3339;
use serde::{Deserialize, Serialize};

use crate::session::{
    Shared,
    registry::{Census, census},
};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The node.
    pub(crate) id: Arc<str>,
    /// Host and internal port.
    pub(crate) address: String,
    /// The program's version.
    pub(crate) version: String,
    /// RFC 3339.
    pub(crate) started_at: String,
    /// Sockets, one for each namespace that a connection is in.
    pub(crate) sockets: usize,
    /// Users with a session on it.
    #[serde(flatten)]
    pub(crate) census: Census,
    /// The node is shutting down.
    pub(crate) draining: bool,
}

impl Report {
    /// This node's report at this moment.
    pub(crate) fn of(shared: &Shared) -> Self {
        Self {
            id: Arc::clone(&shared.id.0),
            address: shared.relay.address(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: rfc3339(shared.started_at),
            sockets: shared.namespaces.all().map(|namespace| namespace.members.len()).sum(),
            census: shared.connections.census(),
            draining: shared.is_draining(),
        }
    }

    /// How many users have a session on these nodes, each counted once. [`Census`] says how exact that is.
    pub(crate) fn users(reports: &[Self]) -> usize {
        census::users(reports.iter().map(|report| &report.census))
    }

    /// The text for the other nodes.
    pub(crate) fn to_text(&self) -> String {
        // Text and numbers always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Another node's report; `None` if another version writes it differently.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
