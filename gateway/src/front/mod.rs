//! Everything before the engine on the public port.
//!
//! [`admission`] decides whether a new handshake is admitted, [`client_js`] serves the stock browser client, [`cors`]
//! restricts the origins whose pages may connect, [`compression`] compresses long answers to polls. [`first`]
//! takes WebSockets over before all of that. [`passed_on`] answers on the internal port what other nodes pass on.

mod admission;
mod client_js;
mod compression;
mod cors;
mod first;
mod passed_on;

use std::{convert::Infallible, sync::Arc};

use axum::{Router, body::Body, extract::Extension, http::Request, middleware::from_fn_with_state, routing::any};
use jackfield_engine::{Engine, EngineKind, EngineLimits, Handshake, Messages};
use jackfield_shared::origins::AllowList;

pub(crate) use self::{first::FirstHandshakes, passed_on::router as passed_on};
use crate::{
    limits::PendingPermit,
    relay::EngineRelay,
    session::{Acceptor, Shared},
};

/// The parsed handshake of a request, and the permit that admission gave it.
#[derive(Clone)]
struct Admitted {
    handshake: Handshake,
    permit: Option<Arc<PendingPermit>>,
}

/// The engine of a node.
pub(crate) type NodeEngine = Engine<Arc<PendingPermit>>;

pub(crate) fn engine(shared: &Arc<Shared>, kind: EngineKind) -> NodeEngine {
    let settings = &shared.settings;
    let limits = EngineLimits {
        ping_interval: settings.ping.interval,
        ping_timeout: settings.ping.timeout,
        queue: settings.limits.queue as usize,
        queue_bytes: settings.limits.queue_bytes as usize,
        queue_age: settings.limits.queue_age,
        max_message: settings.limits.message as usize,
        payload: settings.limits.payload as usize,
        attachments: settings.limits.attachments as usize,
        longest_namespace: shared.longest_namespace(),
        messages: Messages::Packets,
    };
    let relay = Arc::new(EngineRelay(Arc::clone(&shared.relay)));
    Engine::new(kind, Arc::new(Acceptor(Arc::clone(shared))), relay, limits, shared.lifecycle.clone())
}

/// The public routes of a node, for pages of these origins: everything below `socket.path`, and the `api` if it is public.
pub(crate) fn router(
    shared: &Arc<Shared>,
    engine: NodeEngine,
    origins: &Arc<AllowList>,
    api: Option<Router>,
) -> Router {
    let settings = &shared.settings;
    let answer = move |Extension(Admitted { handshake, permit }): Extension<Admitted>, request: Request<Body>| {
        engine.clone().answer(request, handshake, permit)
    };
    let engine = any(answer)
        .layer::<_, Infallible>(from_fn_with_state(Arc::clone(shared), admission::admit))
        .layer(compression::layer(settings.limits.compression));
    let path = settings.socket_path();
    let mut routes = client_js::router(path).route(path, engine.clone()).route(&format!("{path}/"), engine);
    if let Some(api) = api {
        routes = routes.merge(api);
    }
    cors::wrap(routes, origins)
}
