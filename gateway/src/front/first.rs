//! Takes over WebSockets at their first request, without HTTP and the router, which were a third of a connect's CPU time.
//! Only handshakes that are admitted at once: all others wait, or are refused, in [`super::admission`].

use std::{net::SocketAddr, sync::Arc};

use axum::http::request::Parts;
use jackfield_engine::Handshake;
use jackfield_shared::{
    origins::AllowList,
    serve::{First, Taker},
};

use super::{NodeEngine, admission::admit_at_once, cors};
use crate::session::Shared;

/// See the module.
pub(crate) struct FirstHandshakes {
    shared: Arc<Shared>,
    engine: NodeEngine,
    origins: Arc<AllowList>,
}

impl FirstHandshakes {
    /// Takes over the handshakes of this engine, from pages of these origins.
    pub(crate) fn new(shared: &Arc<Shared>, engine: NodeEngine, origins: &Arc<AllowList>) -> Self {
        Self { shared: Arc::clone(shared), engine, origins: Arc::clone(origins) }
    }
}

impl First for FirstHandshakes {
    fn takes(&self, request: &Parts, peer: SocketAddr) -> Option<Taker> {
        let path = request.uri.path();
        let is_own_path = path.strip_suffix('/').unwrap_or(path) == self.shared.settings.socket_path();
        if !is_own_path || cors::refuses(&self.origins, &request.headers) {
            return None;
        }
        let admit = |handshake: &Handshake| admit_at_once(&self.shared, handshake, peer, &request.headers);
        self.engine.take(request, Handshake::parse(request), admit)
    }
}
