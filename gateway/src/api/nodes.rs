//! GET `/v1/nodes`: the live nodes. GET `/v1/stats`: the totals of the cluster.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    caller::{Caller, Read},
    error::{ApiError, Errors},
    state::Api,
};
use crate::{node::Report, session::NAMESPACES};

/// A live node, as of its last heartbeat.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Node)]
pub(crate) struct NodeDoc {
    id: String,
    /// Host and internal port.
    address: String,
    version: String,
    #[schema(format = DateTime)]
    started_at: String,
    /// Seconds since `startedAt`.
    age: u64,
    /// One for each namespace that a connection is in.
    sockets: usize,
    /// The node is shutting down.
    draining: bool,
}

/// Sorted by id.
#[derive(Serialize, ToSchema)]
pub(crate) struct Nodes {
    nodes: Vec<NodeDoc>,
}

/// The whole cluster, as of the nodes' last heartbeats.
#[derive(Serialize, ToSchema)]
pub(crate) struct Stats {
    nodes: usize,
    /// Users with a session on any node, each counted once. If a node has more than 512 users, the overlap between nodes
    /// is estimated from a sample, and the number is a few per cent off.
    users: usize,
    /// One for each namespace that a connection is in.
    sockets: usize,
    /// Rooms with a member on any node.
    rooms: usize,
}

/// The live nodes.
#[utoipa::path(
    get, path = "/v1/nodes", tag = "cluster", security(("apiKey" = [])),
    responses((status = 200, description = "By id", body = Nodes), Errors),
)]
pub(crate) async fn nodes(_: Caller<Read>, State(api): State<Arc<Api>>) -> Result<Json<Nodes>, ApiError> {
    let nodes = reports(&api).await?.into_iter().map(|report| NodeDoc {
        id: report.id.to_string(),
        age: age(&report.started_at),
        address: report.address,
        version: report.version,
        started_at: report.started_at,
        sockets: report.sockets,
        draining: report.draining,
    });
    Ok(Json(Nodes { nodes: nodes.collect() }))
}

/// Users, sockets and rooms of the whole cluster.
#[utoipa::path(
    get, path = "/v1/stats", tag = "cluster", security(("apiKey" = [])),
    responses((status = 200, description = "All nodes together", body = Stats), Errors),
)]
pub(crate) async fn stats(_: Caller<Read>, State(api): State<Arc<Api>>) -> Result<Json<Stats>, ApiError> {
    let (reports, rooms) =
        tokio::try_join!(reports(&api), async { Ok(api.shared.cluster.bus.rooms(&NAMESPACES).await?) })?;
    Ok(Json(Stats {
        nodes: reports.len(),
        users: Report::users(&reports),
        sockets: reports.iter().map(|report| report.sockets).sum(),
        rooms,
    }))
}

async fn reports(api: &Api) -> Result<Vec<Report>, ApiError> {
    let (reports, live) =
        tokio::try_join!(api.shared.cluster.membership.reports(), api.shared.cluster.membership.live())?;
    let reports = reports.into_iter().filter(|(incarnation, _)| live.contains(incarnation));
    let mut reports: Vec<Report> = reports.filter_map(|(_, text)| Report::from_text(&text)).collect();
    reports.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    Ok(reports)
}

fn age(started_at: &str) -> u64 {
    let began = chrono::DateTime::parse_from_rfc3339(started_at).map(|at| at.timestamp()).unwrap_or_default();
    u64::try_from(chrono::Utc::now().timestamp() - began).unwrap_or(0)
}
