//! The engine that a gateway uses: one of two, behind the same interface.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Request, Response, request::Parts},
};
use jackfield_shared::{lifecycle::Lifecycle, serve::Taker};

use crate::{Accept, EngineLimits, Handshake, Permit, Relay, native, oxide, unknown_session};

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// [`crate::native`].
    Native,
    /// [`crate::oxide`].
    Oxide,
}

/// Speaks Engine.IO to clients. Cheap to clone.
pub enum Engine<P: Permit> {
    /// [`crate::native`].
    Native(native::Engine<P>),
    /// [`crate::oxide`].
    Oxide(oxide::Engine<P>),
}

impl<P: Permit> Engine<P> {
    /// An engine that passes new connections to `accept`. Only the native one uses `relay`.
    #[must_use]
    pub fn new(
        kind: EngineKind,
        accept: Arc<dyn Accept<P>>,
        relay: Arc<dyn Relay>,
        limits: EngineLimits,
        lifecycle: Lifecycle,
    ) -> Self {
        match kind {
            EngineKind::Native => Self::Native(native::Engine::new(accept, relay, limits, &lifecycle)),
            EngineKind::Oxide => Self::Oxide(oxide::Engine::new(accept, limits, lifecycle)),
        }
    }

    /// Answers a request. `handshake` was parsed from it, and admission gave it `permit`.
    pub async fn answer(self, request: Request<Body>, handshake: Handshake, permit: Option<P>) -> Response<Body> {
        match self {
            Self::Native(engine) => engine.answer(request, handshake, permit).await,
            Self::Oxide(engine) => engine.answer(request, handshake, permit).await,
        }
    }

    /// The function that takes over the socket of a request without a body that begins a WebSocket, if `admit` admits it:
    /// with a permit, or without. `None` leaves the request to [`Engine::answer`], which also refuses.
    #[must_use]
    pub fn take(
        &self,
        request: &Parts,
        handshake: Handshake,
        admit: impl FnOnce(&Handshake) -> Option<Option<P>>,
    ) -> Option<Taker> {
        match self {
            Self::Native(engine) => engine.take(request, handshake, admit),
            Self::Oxide(_) => None,
        }
    }

    /// Answers a request that another process passed on: only if this one has the connection.
    pub async fn answer_passed_on(self, request: Request<Body>, handshake: Handshake) -> Response<Body> {
        match self {
            Self::Native(engine) => engine.answer_passed_on(request, handshake).await,
            Self::Oxide(_) => unknown_session(),
        }
    }

    /// Answers the connection's poll now, if one hangs.
    pub fn release_poll(&self, sid: &str) {
        match self {
            Self::Native(engine) => engine.release_poll(sid),
            Self::Oxide(_) => {}
        }
    }
}

// A derived one would require `P: Clone`, although no `P` is cloned.
impl<P: Permit> Clone for Engine<P> {
    fn clone(&self) -> Self {
        match self {
            Self::Native(engine) => Self::Native(engine.clone()),
            Self::Oxide(engine) => Self::Oxide(engine.clone()),
        }
    }
}
